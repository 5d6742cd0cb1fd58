"""A look that whoever trains or owns the model does not notice."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from payattention.system.machine import autocast, measuring_precision


@contextmanager
def evaluating(model: nn.Module, device: torch.device | None = None) -> Iterator[torch.device]:
    """Evaluation mode, in the precision that was chosen to measure in; afterwards all is as before.

    `model.train()` would not do: of a network that trains, parts may stay in evaluation mode.

    Args:
        model: Any network; hooks and gradients are left alone.
        device: Where it is to compute; by default where it is.

    Yields:
        The device.
    """
    home = next((p.device for p in model.parameters()), torch.device("cpu"))
    device = home if device is None else device
    modes = {module: module.training for module in model.modules()}
    model.eval().to(device)
    try:
        with autocast(device, measuring_precision()):
            yield device
    finally:
        model.to(home)
        for module, mode in modes.items():
            module.training = mode
