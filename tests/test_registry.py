"""Every network through the same test, and the registry's errors."""

from pathlib import Path

import pytest
import torch

import payattention as pa
from payattention.errors import UsageError


@pytest.mark.parametrize("name", pa.list_models())
def test_every_network(name: str, images: torch.Tensor, tmp_path: Path) -> None:
    model = pa.create_model(name, num_classes=3, width=0.0625).train()
    model(images).sum().backward()
    trained = [p for p in model.parameters() if p.grad is not None]
    assert trained
    assert all(p.grad.isfinite().all() for p in trained)

    model.eval()
    look = model.attend(images)
    assert look.logits.shape == (4, 3)
    torch.testing.assert_close(model(images), look.logits)
    assert tuple(look.maps) == model.levels
    for level in model.levels:
        assert look.maps[level].shape[0] == 4
        torch.testing.assert_close(look.maps[level].sum((1, 2)), torch.ones(4))

    loaded = pa.load(pa.save(model, tmp_path))
    assert loaded.config == model.config
    assert not loaded.training
    torch.testing.assert_close(loaded(images), look.logits, rtol=0, atol=0)

    smallest = torch.rand(2, 3, model.min_size, model.min_size + 9)
    assert model(smallest).shape == (2, 3)
    with pytest.raises(UsageError, match=f"at least {model.min_size}x{model.min_size}"):
        model(smallest[:, :, 1:])


def test_names_are_globbed() -> None:
    assert pa.list_models("vgg_att2_*_pc") == ["vgg_att2_concat_pc", "vgg_att2_indep_pc"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"name": "vgg_at2_concat_pc"}, "did you mean 'vgg_att2_concat_pc'"),
        ({"num_classes": 0}, "num_classes is 0"),
        ({"width": 0}, "width is 0"),
        ({"width": 1000}, "width is 1000"),
        ({"dropuot": 1}, "unknown option of vgg_att2_concat_pc 'dropuot'; did you mean 'dropout'"),
        ({"compatibility": "pcc"}, "unknown compatibility function 'pcc'"),
        ({"head": "mean"}, "there are: concat, indep, logit_sum"),
        ({"layout": "bird"}, "unknown layout 'bird'"),
        ({"taps": "behind"}, "unknown place of the taps 'behind'"),
    ],
)
def test_wrong_calls_name_what_is_right(call: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        pa.create_model(**({"name": "vgg_att2_concat_pc", "num_classes": 2, "width": 0.0625} | call))


def test_images_of_another_shape_are_refused() -> None:
    model = pa.create_model("vgg", 2, 0.0625)
    with pytest.raises(UsageError, match=r"images are \(n, 3, height, width\); got \(3, 32, 32\)"):
        model.prepared(torch.rand(3, 32, 32))
    with pytest.raises(UsageError, match="whole numbers"):
        model.prepared(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
