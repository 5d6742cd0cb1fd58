"""Floating-point operations: those that a network needs, and those that a machine can do.

A multiply-add counts as two. Convolutions, matrix products and attention are counted, by PyTorch's own counter; batch
norms, activations and pools are not, as is usual.
"""

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from payattention.models import Classifier
from payattention.speed.timing import repeated

_COUNTED = 2  # images; a batch norm of a single one has no deviation
_SIDES = {"cpu": 1024, "cuda": 8192}


def flops_per_image(model: nn.Module, image_size: int, *, training: bool) -> float:
    """Operations per image of a forward pass or of a training step's forward and backward pass.

    Counted on shapes alone (PyTorch's meta device), so that it costs no time.
    """
    shadow = copy.deepcopy(model).to("meta").train(training)
    images = torch.empty(_COUNTED, channels_of(model), image_size, image_size, device="meta")
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(training):
        logits = shadow(images)
        if training:
            logits.sum().backward()
    return counter.get_total_flops() / _COUNTED


def channels_of(model: nn.Module) -> int:
    """Of the images that a network takes: RGB's three, but where it is a classifier of others."""
    return model.in_channels if isinstance(model, Classifier) else 3


def matrix_peak(device: torch.device, dtype: torch.dtype, seconds: float = 1.0) -> float:
    """Operations per second of a large matrix product: what this machine reaches at best in this precision."""
    side = _SIDES[device.type]
    a, b = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / min(repeated(lambda: a @ b, device, seconds))
