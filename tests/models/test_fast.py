"""The fast trunk against its definition written out, its whitening layer, and what its controls control."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import payattention as pa
from payattention.data import ImageSet
from payattention.models.patch_whitening import EPS, PatchWhitening
from payattention.training.fit import new_model
from payattention.training.optimisation import create_optimizer
from payattention.training.recipe import load_recipe
from settling import settled

SMALL = 0.0625


def norm(x: Tensor, layer: nn.Module) -> Tensor:
    return F.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias, eps=1e-5)


def blocks(model: nn.Module, images: Tensor, ceil_mode: bool) -> list[Tensor]:
    stem, outputs = model.trunk.stem, []
    x = F.gelu(norm(F.conv2d((images - 0.5) / 0.25, stem.conv.weight), stem.norm))
    for block in model.trunk.blocks.values():
        x = F.max_pool2d(F.conv2d(x, block.conv1.weight, padding=1), 2, ceil_mode=ceil_mode)
        x = y = F.gelu(norm(x, block.norm1))
        rest = dict(block.rest.named_children())
        depth = 1 + sum(name.startswith("conv") for name in rest)
        for number in range(2, depth + 1):
            y = norm(F.conv2d(y, rest[f"conv{number}"].weight, padding=1), rest[f"norm{number}"])
            y = F.gelu(y) if number < depth else y
        x = F.gelu(x + y if depth > 2 else y)
        outputs.append(x)
    return outputs


@pytest.mark.parametrize(("depth", "ceil_mode"), [(2, True), (3, False)])
def test_the_attention_network(depth: int, ceil_mode: bool) -> None:
    """g is a linear layer on the last block's maxima; blocks 2 and 3 have its dimension."""
    model = settled(pa.create_model("fast_att2_concat_dp", 3, SMALL, depth=depth, ceil_mode=ceil_mode)).double()
    images = torch.rand(2, 3, 32, 40, dtype=torch.float64)
    _, *tapped = blocks(model, images, ceil_mode)
    linear = model.trunk.to_query.linear
    g = F.linear(tapped[-1].amax((2, 3)), linear.weight, linear.bias)
    look, seen = model.attend(images), []
    for level, local, head in zip(model.levels, tapped, model.head.normalise, strict=True):
        scores = (local * g[:, :, None, None]).sum(1)
        weights = scores.flatten(1).softmax(1).view_as(scores)
        torch.testing.assert_close(look.maps[level], weights)
        seen.append(norm((weights[:, None] * local).sum((2, 3)), head[0]).relu())
    logits = F.linear(torch.cat(seen, 1), model.head.classifier.weight, model.head.classifier.bias)
    torch.testing.assert_close(look.logits, logits)


def test_the_controls_pool_the_same_trunk() -> None:
    """By the maximum, by the mean, and by the mean at two levels with the attention network's head."""
    trained = settled(pa.create_model("fast_att2_concat_pc", 3, SMALL)).double()
    images = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    controls = {}
    for name in ("fast", "fast_gap", "fast_att2_concat_uniform"):
        controls[name] = pa.create_model(name, 3, SMALL).double().eval()
        controls[name].load_state_dict(trained.state_dict(), strict=False)
    _, block2, block3 = blocks(trained, images, True)
    torch.testing.assert_close(controls["fast"].features(images), block3.amax((2, 3)))
    torch.testing.assert_close(controls["fast_gap"].features(images), block3.mean((2, 3)))
    look = controls["fast_att2_concat_uniform"].attend(images)
    torch.testing.assert_close(look.descriptors["block2"], block2.mean((2, 3)))
    torch.testing.assert_close(look.descriptors["block3"], block3.mean((2, 3)))


def test_patches_of_the_training_set_come_out_white() -> None:
    layer, random = PatchWhitening(), np.random.default_rng(0)
    noise = torch.from_numpy(random.normal(size=(50, 3, 12, 12))).float()
    images = F.avg_pool2d(noise, 3, 1, 1) + 0.5 * noise[:, :1]  # neighbours and colours are correlated
    layer.fit(images)
    out = F.conv2d(images, layer.weight).transpose(0, 1).flatten(1).double()  # (24, n l)
    torch.testing.assert_close(out[12:], -out[:12])
    power = out[:12] @ out[:12].T / out.shape[1]
    patches = F.unfold(images, 2).transpose(0, 1).flatten(1).double()
    variances = torch.linalg.eigvalsh(patches @ patches.T / patches.shape[1]).flip(0)
    torch.testing.assert_close(power, (variances / (variances + EPS)).diag(), atol=1e-4, rtol=1e-4)


def test_the_whitening_layer_is_fitted_kept_and_not_trained(image_set: ImageSet, tmp_path: Path) -> None:
    """On pictures as the model normalises them; only its bias is given to the optimizer."""
    recipe = load_recipe("modern")
    model = new_model("fast_att2_concat_pc", image_set, recipe, width=SMALL, whiten=True)
    layer = model.trunk.stem.conv
    expected = PatchWhitening()
    expected.fit(model.preprocessing(torch.from_numpy(image_set.images).permute(0, 3, 1, 2).float() / 255))
    torch.testing.assert_close(layer.weight, expected.weight, rtol=0, atol=0)
    trained = {id(p) for group in create_optimizer(model, recipe).param_groups for p in group["params"]}
    assert id(layer.weight) not in trained
    assert id(layer.bias) in trained
    again = pa.load(pa.save(model.eval(), tmp_path)).trunk.stem.conv
    torch.testing.assert_close(again.weight, layer.weight, rtol=0, atol=0)
    assert not again.weight.requires_grad
