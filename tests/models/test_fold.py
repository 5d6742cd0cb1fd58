"""Folding changes the layers, not the function."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

import payattention as pa
from payattention.errors import UsageError
from payattention.models import Classifier
from payattention.models.rewrites.fold import foldable
from settling import settled
from timm_families import of_this_timm

SMALL = 0.0625
LEFT = dict.fromkeys(pa.list_models("resnet164*"), 54) | dict.fromkeys(pa.list_models("fast*"), 3)
"""Batch norms that follow no convolution but a sum: first in each pre-activation block but one, and after the last. In
the fast networks, the first of each block follows a pool."""


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def assert_same(folded: Classifier, model: Classifier, images: torch.Tensor, tolerance: float = 1e-10) -> None:
    with torch.no_grad():
        after, before = folded.attend(images), model.attend(images)
    scale = max(1.0, before.logits.abs().max().item())
    torch.testing.assert_close(after.logits, before.logits, rtol=0, atol=tolerance * scale)
    for level in model.levels:
        peak = max(1.0, before.maps[level].abs().max().item())
        torch.testing.assert_close(after.maps[level], before.maps[level], rtol=0, atol=tolerance * peak)
    if before.query is not None:
        torch.testing.assert_close(after.query, before.query, rtol=1e-4, atol=tolerance)


@pytest.mark.parametrize("name", pa.list_models())
def test_every_network_keeps_its_logits_and_maps(name: str) -> None:
    model = settled(pa.create_model(name, 3, SMALL)).double()
    before = copy.deepcopy(model.state_dict())
    folded = pa.fold(model)
    assert_same(folded, model, torch.rand(2, 3, 32, 40, dtype=torch.float64))
    assert norms(folded) == LEFT.get(name, 0)
    assert not folded.training
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())  # it is left as it was


@pytest.mark.parametrize(
    "backbone",
    of_this_timm(
        "resnet18", "tf_efficientnet_lite0", "mobilenetv3_small_050", "regnety_002", "densenet121", "repvgg_a0"
    ),
)
def test_backbones_keep_theirs(backbone: str) -> None:
    """timm's norms carry their activations; some pad by themselves, some add their branches before the norm."""
    model = settled(pa.attach(backbone, 3, freeze=False), (64, 64), 4).double()
    folded = pa.fold(model)
    assert norms(folded) < norms(model)
    assert_same(folded, model, torch.rand(2, 3, 64, 64, dtype=torch.float64))


def test_rounding_in_float32_is_small() -> None:
    model = settled(pa.create_model("vgg_att3_concat_pc", 3, 0.25))
    assert_same(pa.fold(model), model, torch.rand(2, 3, 32, 32), 1e-5)


def test_a_norm_whose_input_others_see_stays() -> None:
    class Trunk(nn.Module):
        min_size = 1

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            x = self.conv(images)
            return self.norm(x) + x

    model = _around(Trunk())
    assert foldable(model) == []
    with pytest.raises(UsageError, match="no batch norm of Around follows a convolution"):
        pa.fold(model)


def test_a_convolution_that_runs_twice_stays() -> None:
    class Trunk(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3)
            self.norm = nn.BatchNorm2d(3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.norm(self.conv(self.conv(images).relu()))

    assert foldable(_around(Trunk())) == []


def test_two_norms_in_a_row_fold() -> None:
    trunk = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.BatchNorm2d(4))
    model = settled(_around(trunk)).double()
    folded = pa.fold(model)
    assert norms(folded) == 0
    assert_same(folded, model, torch.rand(2, 3, 32, 32, dtype=torch.float64))


def test_a_folded_model_saves_loads_and_prunes(tmp_path: Path) -> None:
    model = settled(pa.create_model("vgg_att2_concat_pc", 3, SMALL))
    slim = pa.fold(pa.prune(model))
    loaded = pa.load(pa.save(slim, tmp_path))
    assert loaded.config == slim.config
    assert loaded.config.folded
    assert loaded.config.pruned
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(loaded(images), slim(images), rtol=0, atol=1e-6)
    torch.testing.assert_close(pa.prune(pa.fold(model))(images), slim(images), rtol=0, atol=1e-6)
    with pytest.raises(UsageError, match="folded already"):
        pa.fold(loaded)


def _around(trunk: nn.Module) -> Classifier:
    """A classifier that is nothing but a trunk and a mean."""

    class Around(Classifier):
        def __init__(self) -> None:
            super().__init__()
            self.trunk = trunk

        def look(self, images: torch.Tensor, query: torch.Tensor | None) -> pa.Look:
            return pa.Look(logits=self.trunk(self.prepared(images)).mean((2, 3)))

    return Around().eval()
