"""Normalisation inside the model, against numpy, scipy and scikit-learn, and through training, saving and loading."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import convolve
from sklearn.decomposition import PCA

from payattention.data import ImageSet
from payattention.errors import UsageError
from payattention.models import create_model
from payattention.models.preprocessing import PREPROCESSINGS, GcnZca, MeanStd, YuvLcn, create_preprocessing
from payattention.training.fit import new_model
from payattention.training.recipe import Recipe
from payattention.weights.checkpoint import load, save


def images(count: int = 40, size: int = 8, seed: int = 0) -> torch.Tensor:
    """Smooth noise, so that neighbours are correlated as in pictures."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=(count, 3, size, size))
    smooth = convolve(noise, np.ones((1, 1, 3, 3)) / 3, mode="wrap") + random.normal(size=(count, 3, 1, 1))
    return torch.from_numpy((127 + 40 * smooth).clip(0, 255).astype(np.uint8))


def test_mean_and_deviation_are_numpys() -> None:
    module = MeanStd()
    module.fit(images())
    values = images().numpy() / 255
    np.testing.assert_allclose(module.mean.flatten(), values.mean((0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(module.std.flatten(), values.std((0, 2, 3)), rtol=1e-5)


def lcn_by_hand(y: np.ndarray) -> np.ndarray:
    """Pixel by pixel, as method and border correction are described; y: (h, w) in 0 ... 255."""
    offsets = np.arange(-3, 4)
    kernel = np.exp(-((offsets / 1.75) ** 2) / 2)
    kernel = np.outer(kernel, kernel) / kernel.sum() ** 2

    def over_window(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        total, coverage = np.zeros(y.shape), np.zeros(y.shape)
        for i in range(y.shape[0]):
            for j in range(y.shape[1]):
                for a in offsets:
                    for b in offsets:
                        if 0 <= i + a < y.shape[0] and 0 <= j + b < y.shape[1]:
                            total[i, j] += kernel[a + 3, b + 3] * values[i + a, j + b]
                            coverage[i, j] += kernel[a + 3, b + 3]
        return total, coverage

    mean, coverage = over_window(y)
    centred = y - mean / coverage
    power, _ = over_window(centred**2)
    return centred / np.maximum(np.sqrt(power) / coverage, 1e-4)


def test_local_contrast_is_that_of_a_direct_convolution() -> None:
    pixels = images(2, 9)
    module = YuvLcn()
    module.fit(pixels)
    out = module(pixels.float() / 255)
    for image, normalised in zip(pixels.double().numpy(), out, strict=True):
        y = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
        np.testing.assert_allclose(normalised[0], lcn_by_hand(y), atol=1e-4)


def test_the_window_is_the_published_one() -> None:
    window = YuvLcn().window
    np.testing.assert_allclose(window[:4], [0.05478, 0.12392, 0.20224, 0.23811], atol=2e-5)
    assert window.sum() == pytest.approx(1)


def test_colour_is_standardised_over_the_training_set() -> None:
    module = YuvLcn()
    module.fit(images())
    out = module(images().float() / 255)
    np.testing.assert_allclose(out[:, 1:].mean((0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(out[:, 1:].std((0, 2, 3)), 1, rtol=1e-3)
    r, g, b = images().double()[:, 0], images().double()[:, 1], images().double()[:, 2]
    u = -0.14713 * r - 0.28886 * g + 0.436 * b
    assert module.mean[0].item() == pytest.approx(u.mean().item(), abs=1e-3)


@settings(max_examples=20, deadline=None)
@given(value=st.floats(0, 1), size=st.integers(1, 20))
def test_a_flat_picture_has_no_contrast(value: float, size: int) -> None:
    flat = torch.full((1, 3, size, size), value)
    assert YuvLcn()(flat)[:, 0].abs().max() < 1e-3
    assert GcnZca(4)(torch.full((1, 3, 4, 4), value)).abs().max() < 0.1


def test_whitening_is_scikit_learns_pca_turned_back() -> None:
    module = GcnZca(4)
    pixels = images(400, 4)
    module.fit(pixels)
    x = pixels.numpy().reshape(400, -1).astype(np.float64)
    x -= x.mean(1, keepdims=True)
    x *= 55 / np.linalg.norm(x, axis=1, keepdims=True)
    pca = PCA(svd_solver="full").fit(x)
    variances = pca.explained_variance_ * 399 / 400  # it divides by n - 1
    by_sklearn = pca.transform(x) / np.sqrt(variances + 0.1) @ pca.components_
    ours = module(pixels.float() / 255).numpy().reshape(400, -1)
    np.testing.assert_allclose(ours, by_sklearn, atol=1e-3)


def test_the_whitened_training_set_has_the_expected_covariance() -> None:
    module = GcnZca(4)
    pixels = images(500, 4)
    module.fit(pixels)
    out = module(pixels.float() / 255).flatten(1).double()
    covariance = torch.from_numpy(np.cov(out.numpy().T, bias=True))
    values = torch.linalg.eigvalsh(
        torch.from_numpy(np.cov(module.contrast_normalised(pixels.float() / 255).numpy().T, bias=True))
    )
    torch.testing.assert_close(torch.linalg.eigvalsh(covariance), values / (values + 0.1), atol=1e-4, rtol=1e-3)
    np.testing.assert_allclose(out.mean(0), 0, atol=1e-4)


def test_whitening_takes_one_size_only() -> None:
    with pytest.raises(
        UsageError, match=r"images of 32x32, these are 40x36; for other sizes.* take mean_std or yuv_lcn"
    ):
        GcnZca()(torch.rand(1, 3, 36, 40))


@pytest.mark.parametrize("name", PREPROCESSINGS)
def test_gradients_reach_the_pixels(name: str) -> None:
    """Attacks act on pixels. Flat areas are where roots and quotients go wrong."""
    module = create_preprocessing(name)
    x = torch.rand(2, 3, 32, 32)
    x[0, :, :16] = 0.5
    x[1] = 0
    x.requires_grad_()
    module(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert x.grad[0, :, 20:].any()


@pytest.mark.parametrize("name", sorted(set(PREPROCESSINGS) - {"none"}))
def test_it_is_fitted_saved_and_loaded_with_its_model(
    name: str, image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PREPROCESSINGS, "gcn_zca", partial(GcnZca, 16))  # whitening 32x32 takes seconds
    small = replace(image_set, images=image_set.images[:, ::2, ::2].copy(), masks=None)
    model = new_model("vgg", small, Recipe("test", epochs=1), width=0.0625, preprocessing=name)
    before = {key: buffer.clone() for key, buffer in model.preprocessing.named_buffers()}
    fresh = dict(create_preprocessing(name).named_buffers())
    assert any((before[key] != fresh[key]).any() for key in before)
    model.train()
    torch.nn.functional.cross_entropy(model(torch.rand(8, 3, 16, 16)), torch.zeros(8).long()).backward()
    torch.optim.SGD(model.parameters(), 0.1).step()
    save(model.eval(), tmp_path)
    loaded = load(tmp_path)
    assert type(loaded.preprocessing) is type(model.preprocessing)
    for key, buffer in loaded.preprocessing.named_buffers():
        assert (buffer == before[key]).all()  # training on does not move them
    pixels = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(loaded(pixels), model(pixels))


def test_pixels_can_be_taken_as_they_are(image_set: ImageSet, tmp_path: Path) -> None:
    """The same network on normalised pixels, its statistics set to do nothing."""
    model = new_model("vgg", image_set, Recipe("test", epochs=1), width=0.0625, preprocessing="none").eval()
    other = new_model("vgg", image_set, Recipe("test", epochs=1), width=0.0625).eval()
    other.preprocessing = MeanStd((0.0,) * 3, (1.0,) * 3)
    pixels = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(model(pixels), other(pixels), rtol=0, atol=0)
    assert not any(name.startswith("preprocessing") for name in model.state_dict())
    torch.testing.assert_close(load(save(model, tmp_path))(pixels), model(pixels), rtol=0, atol=0)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'yuv_lcn'"):
        create_model("vgg", preprocessing="yuv_lnc")
    with pytest.raises(UsageError, match="preprocessing is 3: it takes a name"):
        create_model("vgg", preprocessing=3)
