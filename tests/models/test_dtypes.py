"""Networks in half, bfloat16 and double take pictures as they come, and answer as in float32, as far as they can."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

import payattention as pa
from payattention.models.preprocessing import PREPROCESSINGS, GcnZca, create_preprocessing
from settling import settled

EVERY = pa.list_models()
DTYPES = (torch.float16, torch.bfloat16, torch.float64)
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8))


@pytest.mark.float32
@pytest.mark.parametrize("name", EVERY)
def test_every_network_answers_as_in_float32(name: str) -> None:
    model, images = settled(pa.create_model(name, 3, 0.0625)), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        expected, logits = model(images), {dtype: copy.deepcopy(model).to(dtype)(images) for dtype in DTYPES}
    assert all(found.dtype == dtype and found.isfinite().all() for dtype, found in logits.items())
    torch.testing.assert_close(logits[torch.float64].float(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.float32
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PREPROCESSINGS)
def test_pixels_are_normalised_before_they_are_rounded(
    name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Y of YUV reaches 255 and a whitened image's norm is 55: in bfloat16 both would lose their last digits."""
    monkeypatch.setitem(PREPROCESSINGS, "gcn_zca", partial(GcnZca, 16))  # a matrix for 32x32 takes seconds
    model = pa.create_model("fast_att_pc", 3, 0.0625, preprocessing=name).eval()
    images = torch.rand(2, 3, 16, 16)
    exact = create_preprocessing(name)(images)
    found = model.to(dtype).prepared(images)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), exact.to(dtype).float(), rtol=0.01, atol=0.04)
    torch.testing.assert_close(model.prepared(images.to(dtype)).float(), found.float(), rtol=0.05, atol=0.5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_query_of_another_dtype(dtype: torch.dtype) -> None:
    model = settled(pa.create_model("vgg_att2_concat_dp", 3, 0.0625))
    images, query = torch.rand(2, 3, 32, 32), model.query_of(torch.rand(1, 3, 32, 32))
    logits = model.to(dtype).attend(images, query).logits
    assert logits.dtype == dtype
    assert logits.isfinite().all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", [None, "activation", "grad_cam", "grad_cam_plus_plus"])
def test_an_explanation_is_in_float32(method: str | None, dtype: torch.dtype) -> None:
    model = settled(pa.create_model("vgg_att2_concat_pc", 3, 0.0625))
    expected = pa.explain(model, PICTURE, method=method)
    found = pa.explain(model.to(dtype), PICTURE, method=method)
    assert model.dtype == dtype
    assert found.probabilities.dtype == found.joint.dtype == np.float32
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=0.02)
    for level, values in found.maps.items():
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, expected.maps[level], atol=0.05 * expected.maps[level].max())


def test_integrated_gradients_are_in_float32() -> None:
    pytest.importorskip("captum")
    model = settled(pa.create_model("vgg_att2_concat_pc", 3, 0.0625)).half()
    assert pa.explain(model, PICTURE, method="integrated_gradients").maps["pixels"].max() > 0
