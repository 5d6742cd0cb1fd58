"""Networks without values: names, shapes and layers on the meta device, in no memory and little time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_FILLING = ("normal_", "uniform_")


@contextmanager
def without_values() -> Iterator[None]:
    """Within it, tensors are made on the meta device, and none is filled with random numbers."""
    with torch.device("meta"), _NothingToFill():
        yield


class _NothingToFill(TorchFunctionMode):
    """Leaves out the random initialisation of tensors without values.

    PyTorch would look up what shape comes of it in parts of its compiler, which take seconds to import.
    """

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
            if isinstance(filled, Tensor) and filled.is_meta:
                return filled
        return func(*args, **named)
