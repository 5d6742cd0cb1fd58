"""Networks without values: names, shapes and layers on the meta device, in no memory and little time.

Or with memory for values that are still to come, from a file: random numbers in their place would be drawn for nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_FILLING = {
    *("normal_", "uniform_", "trunc_normal_"),
    *("kaiming_normal_", "kaiming_uniform_", "xavier_normal_", "xavier_uniform_"),
}


@contextmanager
def without_values() -> Iterator[None]:
    """Within it, tensors are made on the meta device, and none is filled with random numbers."""
    with torch.device("meta"), _Unfilled(lambda tensor: tensor.is_meta):
        yield


@contextmanager
def values_to_come() -> Iterator[None]:
    """Within it, parameters are made and not filled with random numbers: whoever asks for it fills them all."""
    with _Unfilled(lambda tensor: isinstance(tensor, nn.Parameter)):
        yield


class _Unfilled(TorchFunctionMode):
    """Leaves out the random initialisation of some tensors.

    Of those without values, PyTorch would look up what shape comes of it in parts of its compiler, which take seconds
    to import.
    """

    def __init__(self, which: Callable[[Tensor], bool]) -> None:
        super().__init__()
        self._which = which

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if getattr(func, "__name__", "") in _FILLING:
            filled = args[0] if args else named.get("tensor")
            if isinstance(filled, Tensor) and self._which(filled):
                return filled
        return func(*args, **named)
