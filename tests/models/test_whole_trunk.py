"""What a whole backbone gives beside its levels: timm's own summaries, and grids without class tokens and registers."""

from typing import Any

import pytest
import timm
import torch
from torch import nn

import payattention as pa
from payattention.models.attentive import AttentionOptions
from payattention.models.timm_backbones.trunk import TimmTrunk
from payattention.models.timm_backbones.whole_trunk import CLASS_TOKEN, MEAN, WholeTrunk, on_whole_trunk
from settling import settled

SMALL = {"embed_dim": 48, "depth": 4, "num_heads": 3}
TOWERS = {"vit_small_patch14_dinov2": 1, "vit_small_patch14_reg4_dinov2": 5, "vit_small_patch16_dinov3": 5}
"""DINOv2's and DINOv3's, with how many tokens stand before the grid: the class token, and four registers."""


def tower(name: str) -> nn.Module:
    """timm's own network of that name and kind, narrow and short, with fresh weights (there are no others here)."""
    return timm.create_model(name, **SMALL, dynamic_img_size=True).eval()


def whole(network: nn.Module, levels: int = 2, **options: Any) -> WholeTrunk:
    return WholeTrunk(network, levels, freeze=True, **options)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet", "mobilenetv3_small_050"])
@torch.no_grad()
def test_the_mean_is_what_the_networks_own_classifier_sees(name: str) -> None:
    network, images = timm.create_model(name).eval(), torch.rand(2, 3, 64, 96)
    expected = network.forward_head(network.forward_features(images), pre_logits=True)
    found = whole(network).features(images)
    assert CLASS_TOKEN not in found
    torch.testing.assert_close(found[MEAN][:, :, 0, 0], expected)


@pytest.mark.parametrize("deepest", ["stage", "final"])
@torch.no_grad()
def test_the_levels_are_those_of_the_trunk_that_was_cut(deepest: str) -> None:
    model = pa.attach("mobilenetv2_050", 3, deepest=deepest, freeze=True).eval()
    torch.manual_seed(1)
    seeded = pa.attach("mobilenetv2_050", 3, deepest=deepest, freeze=True).eval()
    images = model.prepared(torch.rand(2, 3, 64, 64))
    expected = seeded.trunk.features(images)
    found = on_whole_trunk(model, seed=1).trunk.features(images)
    assert tuple(found) == (*seeded.levels, MEAN)
    for level in seeded.levels:
        torch.testing.assert_close(found[level], expected[level])


@pytest.mark.parametrize("name", TOWERS)
@torch.no_grad()
def test_neither_class_token_nor_registers_enter_a_grid(name: str) -> None:
    network = tower(name)
    stride = network.patch_embed.patch_size[0]
    images = torch.rand(2, 3, 4 * stride, 6 * stride)  # neither a square nor of the size that it was made for
    tokens = network.forward_features(images)  # (n, before + 4 * 6, d)
    before = TOWERS[name]
    assert tokens.shape == (2, before + 24, 48)
    found = whole(network).features(images)
    torch.testing.assert_close(found["blocks_3"], tokens[:, before:].mT.unflatten(2, (4, 6)))
    torch.testing.assert_close(found[CLASS_TOKEN][:, :, 0, 0], tokens[:, 0])
    torch.testing.assert_close(found[MEAN][:, :, 0, 0], tokens[:, before:].mean(1))
    cut = TimmTrunk(network, levels=2, freeze=True).features(images)
    for level, features in cut.items():
        torch.testing.assert_close(features, found[level])


@pytest.mark.parametrize("name", TOWERS)
@torch.no_grad()
def test_a_place_of_the_map_is_that_place_of_the_picture(name: str) -> None:
    network = tower(name)
    stride = network.patch_embed.patch_size[0]
    options = AttentionOptions(compatibility="local", queries=4)
    model = settled(options.attending(TimmTrunk(network, levels=2, freeze=True), num_classes=3))
    images = torch.rand(1, 3, 4 * stride, 6 * stride)
    changed = images.clone()
    changed[:, :, 2 * stride : 3 * stride, 4 * stride : 5 * stride] += 0.5
    one, other = (model.attend(pictures.clamp(0, 1)) for pictures in (images, changed))
    for level in model.levels:
        assert one.maps[level].shape == (1, 4, 6)
        moved = (one.query_maps[level].log() - other.query_maps[level].log()).abs().sum(1)  # (1, 4, 6)
        assert divmod(moved.argmax().item(), 6) == (2, 4)
