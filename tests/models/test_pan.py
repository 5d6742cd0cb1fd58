"""Progressive attention, against its definition written out."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import payattention as pa
from payattention.attention.maps import combined, stretched, upsampled
from settling import settled

SMALL = 0.0625


def block(x: Tensor, layer: nn.Module) -> Tensor:
    """3x3 convolution, batch norm with eps 1e-3, ReLU."""
    n = layer.norm
    x = F.conv2d(x, layer.conv.weight, layer.conv.bias, padding=1)
    return F.batch_norm(x, n.running_mean, n.running_var, n.weight, n.bias, eps=1e-3).clamp_min(0)


def test_the_network() -> None:
    model = settled(pa.create_model("vgg_pan", 3, SMALL)).double()
    images = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    layers, x = model.trunk.layers, (images - 0.5) / 0.25
    for number in range(1, 11):
        x = block(x, layers[f"conv{number}"])
        if number == 7:
            x = F.max_pool2d(x, 2)
    lower = x  # (n, d, 16, 16)

    own = model.lower_query
    x = F.max_pool2d(block(F.max_pool2d(lower, 4), own.conv1), 2)
    g1 = F.linear(F.max_pool2d(block(x, own.conv2), 2).flatten(1), own.linear.weight, own.linear.bias)
    u = model.gate.compatibility.u
    gate = F.conv2d(lower + g1[:, :, None, None], u.weight, u.bias).sigmoid()  # (n, 1, 16, 16)

    x = F.max_pool2d(lower * gate, 2)
    for number in (11, 12, 13):
        x = block(x, layers[f"conv{number}"])
    upper = x  # (n, d, 8, 8)
    for number in (14, 15):
        x = block(F.max_pool2d(x, 2), layers[f"conv{number}"])
    g2 = F.linear(F.max_pool2d(x, 2).flatten(1), model.trunk.fc16.linear.weight, model.trunk.fc16.linear.bias)
    u = model.attention.compatibility.u
    scores = F.conv2d(upper + g2[:, :, None, None], u.weight, u.bias)
    weights = scores.flatten(1).softmax(1).view_as(scores)
    g_a = (weights * upper).sum((2, 3))

    n = model.head.normalise[0][0]
    x = F.batch_norm(g_a, n.running_mean, n.running_var, n.weight, n.bias, eps=1e-5).clamp_min(0)
    look = model.attend(images)
    torch.testing.assert_close(look.maps["layer10"], gate[:, 0])
    torch.testing.assert_close(look.maps["layer13"], weights[:, 0])
    torch.testing.assert_close(look.query, torch.cat([g1, g2], 1))
    torch.testing.assert_close(look.logits, F.linear(x, model.head.classifier.weight, model.head.classifier.bias))


def test_a_foreign_query_moves_the_gate_and_so_all_behind_it() -> None:
    model = settled(pa.create_model("vgg_pan", 3, SMALL))
    images, others = torch.rand(2, 3, 32, 32), torch.rand(1, 3, 48, 40)
    own, foreign = model.attend(images), model.attend(images, query=others)
    torch.testing.assert_close(foreign.query, model.query_of(others).expand(2, -1))
    assert not torch.allclose(own.maps["layer10"], foreign.maps["layer10"])
    assert not torch.equal(own.logits, foreign.logits)


def test_weights_transfer_by_name() -> None:
    pan = pa.create_model("vgg_pan", 3, SMALL).state_dict()
    att2 = pa.create_model("vgg_att2_concat_pc", 3, SMALL).state_dict()
    trunk = {name for name in att2 if name.startswith("trunk.")}
    assert trunk <= set(pan)
    assert all(pan[name].shape == att2[name].shape for name in trunk)


def test_its_levels_are_multiplied_already(picture: Path) -> None:
    """So its combined map is the product without a square root (paper, A.4)."""
    model = settled(pa.create_model("vgg_pan", 3, SMALL))
    explanation = pa.explain(model, picture)
    maps = [torch.from_numpy(map_)[None] for map_ in explanation.maps.values()]
    product = stretched(upsampled(combined(maps, root=False), (40, 50)))[0]
    torch.testing.assert_close(torch.from_numpy(explanation.combined), product)
    assert not torch.allclose(product, stretched(upsampled(combined(maps), (40, 50)))[0], atol=0.01)
