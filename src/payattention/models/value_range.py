"""Images that are clearly no pixels in 0 ... 1: a model answers them all the same, and wrongly."""

import warnings
from contextlib import suppress
from functools import cache

import torch
from torch import Tensor

_MOST = 16.0  # pixels in 0 ... 255 are beyond it, what a network is tried with (noise, attacks) is not


def warn_if_not_pixels(images: Tensor) -> None:
    """Warns, once, of images with values like 255.

    It looks at the first image only, and only where that costs nothing: not on a GPU, which would have to be waited
    for, nor while a network is traced.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined]
        return
    if images.device.type != "cpu" or type(images) is not Tensor or not images.numel():
        return
    with suppress(RuntimeError):  # under vmap and the like no value can be told
        if images[0].detach().amax().item() > _MOST:
            _warn()


@cache
def _warn() -> None:
    warnings.warn(
        "images hold values in [0, 1], and these reach far beyond: divide pixels of 0 ... 255 by 255", stacklevel=6
    )
