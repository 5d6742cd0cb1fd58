"""Winograd's algorithm is a convolution."""

import copy
import sys

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import payattention as pa
from payattention.errors import UsageError
from payattention.models.rewrites.winograd import WinogradConv2d, _Winograd, convolved, transformed, weight_gradient
from settling import settled


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    size=st.tuples(st.integers(4, 13), st.integers(4, 13)),
    last=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_it_equals_the_direct_convolution_and_its_gradients(
    count: int, channels: tuple[int, int], size: tuple[int, int], last: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    images, weight = torch.randn(count, channels[0], *size), torch.randn(channels[1], channels[0], 3, 3)
    if last:
        images = images.contiguous(memory_format=torch.channels_last)
    bias = torch.randn(channels[1])
    ours = [t.clone().requires_grad_() for t in (images, weight, bias)]
    exact = [t.double().requires_grad_() for t in (images, weight, bias)]
    y, truth = _Winograd.apply(*ours), F.conv2d(*exact, padding=1)
    torch.testing.assert_close(y.double(), truth, rtol=1e-4, atol=1e-4)
    grad = torch.randn_like(y)
    y.backward(grad)
    truth.backward(grad.double())
    for a, b in zip(ours, exact, strict=True):
        torch.testing.assert_close(a.grad.double(), b.grad, rtol=1e-4, atol=1e-3)


def test_batches_larger_than_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[convolved.__module__], "_CACHE", (1, 1))  # one image at a time
    images, grad, weight = torch.randn(3, 2, 9, 6), torch.randn(3, 4, 9, 6), torch.randn(4, 2, 3, 3)
    direct = F.conv2d(images, weight, padding=1)
    torch.testing.assert_close(convolved(images, transformed(weight), None), direct, rtol=1e-4, atol=1e-4)
    expected = torch.nn.grad.conv2d_weight(images, (4, 2, 3, 3), grad, padding=1)
    torch.testing.assert_close(weight_gradient(images, grad), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [*pa.list_models("vgg*"), "saoyan_vgg_att3"])
def test_networks_keep_their_function_and_parameters(name: str) -> None:
    model = settled(pa.create_model(name, 3, 0.125))
    fast = pa.winograd(pa.fold(model))
    assert any(isinstance(module, WinogradConv2d) for module in fast.modules())
    images = torch.rand(2, 3, 32, 40)
    with torch.inference_mode():
        after, before = fast.attend(images), model.attend(images)
    torch.testing.assert_close(after.logits, before.logits, rtol=1e-4, atol=1e-4)
    for level in model.levels:
        torch.testing.assert_close(after.maps[level], before.maps[level], rtol=1e-3, atol=1e-4)
    assert fast.state_dict().keys() == pa.fold(model).state_dict().keys()


def test_a_network_has_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[convolved.__module__], "faster_in_training", lambda *_: True)
    model = pa.create_model("vgg_att2_concat_pc", 3, 0.125, dropout=0.0).to(memory_format=torch.channels_last).train()
    fast = pa.winograd(model)
    images, labels = torch.rand(6, 3, 32, 32), torch.tensor([0, 1, 2, 0, 1, 2])
    for network in (model, fast):
        F.cross_entropy(network(images), labels).backward()
    for (name, ours), truth in zip(fast.named_parameters(), model.parameters(), strict=True):
        difference = (ours.grad - truth.grad).norm()
        assert difference <= 2e-2 * truth.grad.norm() + 1e-5, name  # rounding, through 13 batch norms of 6 images
        assert ours.grad.stride() == truth.grad.stride()


def test_new_weights_are_seen() -> None:
    conv = nn.Conv2d(32, 32, 3, padding=1)
    fast, images = WinogradConv2d.of(conv), torch.randn(1, 32, 8, 8)
    with torch.inference_mode():
        fast(images)
    with torch.no_grad():
        conv.weight.mul_(2)
        torch.testing.assert_close(fast(images), conv(images), rtol=1e-4, atol=1e-4)
        assert copy.deepcopy(fast)._kept is None  # weights of four times the size are not copied


def test_elsewhere_it_is_the_direct_convolution() -> None:
    conv = nn.Conv2d(32, 32, 3, padding=1).double()
    fast, images = WinogradConv2d.of(conv), torch.randn(1, 32, 8, 8, dtype=torch.float64)
    assert torch.equal(fast(images), conv(images))  # another precision
    small = images[:, :, :3, :3]
    assert torch.equal(fast(small), conv(small))  # no whole tile
    conv, fast, images = conv.float(), WinogradConv2d.of(conv.float()), images.float()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(fast(images), conv(images))


def test_a_network_without_such_convolutions_is_refused() -> None:
    with pytest.raises(UsageError, match="no 3x3 convolution of stride 1"):
        pa.winograd(pa.create_model("vgg_att2_concat_pc", 3, 0.0625))
