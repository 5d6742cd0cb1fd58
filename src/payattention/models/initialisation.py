"""Ways to start: ours, the authors' Torch7 defaults (which begin with almost one-hot attention), the public PyTorch
implementation's.
"""

import math
from collections.abc import Callable

from torch import nn

from payattention.attention import Compatibility
from payattention.system.names import Registry


def _default(model: nn.Module) -> None:
    """Convolutions: He et al. (2015), fan-out. Scores, linear layers and batch norm: PyTorch's defaults.

    PyTorch's small uniform u starts attention almost uniform (about 968 of 1024 positions count).
    """
    of_scores = {id(m) for c in model.modules() if isinstance(c, Compatibility) for m in c.modules()}
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and id(module) not in of_scores:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _torch7(model: nn.Module) -> None:
    """The authors' scripts: every convolution, u too, N(0, sqrt(2 / (k k out))), bias 0; gamma U(0, 1).

    u has one output channel, so its deviation is sqrt(2) and attention starts almost one-hot (2.7 of 1024 positions).
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
            nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight)


def _xavier_uniform(model: nn.Module) -> None:
    """The public PyTorch implementation's: weights uniform by Glorot and Bengio (2010), gain sqrt(2), gamma U(0, 1)."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight, gain=math.sqrt(2))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight)


INITIALISATIONS: Registry[Callable[[nn.Module], None]] = Registry(
    "init",
    {
        "default": _default,
        "torch7": _torch7,
        "xavier_uniform": _xavier_uniform,
    },
)


def initialise(model: nn.Module, name: str) -> None:
    """Fills a fresh model's weights in place."""
    INITIALISATIONS[name](model)
