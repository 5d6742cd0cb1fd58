"""A look that whoever trains or owns the model does not notice."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from payattention.errors import UsageError
from payattention.system.machine import autocast, measuring_precision

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@contextmanager
def evaluating(model: nn.Module, device: torch.device | None = None) -> Iterator[torch.device]:
    """Evaluation mode, in the precision that was chosen to measure in; afterwards all is as before, whatever happens.

    As before are each module's mode (of a network that trains, parts may stay in evaluation mode), the device, the
    hooks, `requires_grad` and `.grad`; batch norms' statistics do not move in evaluation mode. Inside, parameters get
    no gradients: who looks asks for those of pictures or features, and what comes before them need not be kept.
    Several threads may look at one model at once: the first one in notes how it was, the last one out gives it back.

    Args:
        model: Any network.
        device: Where it is to compute; by default where it is.

    Yields:
        The device.

    Raises:
        UsageError: An operation that PyTorch does not have in the model's dtype on this device.
    """
    home = next((p.device for p in model.parameters()), torch.device("cpu"))
    device = home if device is None else device
    first = _enter(model)
    try:
        if first or device != home:
            _move(model, device)
        with autocast(device, measuring_precision()):
            yield device
    except RuntimeError as error:
        if "not implemented for '" not in str(error):
            raise
        raise _lacking(model, device, error) from None
    finally:
        if device != home:
            _move(model, home)
        _leave(model)


class _Parameter(NamedTuple):
    trained: bool
    grad: Tensor | None


class _Before(NamedTuple):
    """A model as it was: its modules' modes and hooks, its parameters by name."""

    modes: Mapping[nn.Module, bool]
    hooks: Mapping[nn.Module, Mapping[str, frozenset[Any]]]
    parameters: Mapping[str, _Parameter]


class _Looked(NamedTuple):
    lookers: int
    before: _Before


_lock = threading.Lock()
_looked_at: WeakKeyDictionary[nn.Module, _Looked] = WeakKeyDictionary()
"""The models that someone looks at just now: how many do, and how each was before the first."""


def _enter(model: nn.Module) -> bool:
    """Whether nobody else looks at the model."""
    with _lock:
        if (looked := _looked_at.get(model)) is not None:
            _looked_at[model] = looked._replace(lookers=looked.lookers + 1)
            return False
        _looked_at[model] = _Looked(1, _as_it_is(model))
        model.eval()
        for parameter in model.parameters():
            parameter.grad = None
            parameter.requires_grad_(False)
        return True


def _leave(model: nn.Module) -> None:
    with _lock:
        looked = _looked_at.pop(model)
        if looked.lookers > 1:
            _looked_at[model] = looked._replace(lookers=looked.lookers - 1)
        else:
            _give_back(model, looked.before)


def _as_it_is(model: nn.Module) -> _Before:
    modules = list(model.modules())
    return _Before(
        {module: module.training for module in modules},
        {module: {kind: frozenset(getattr(module, kind)) for kind in _HOOKS} for module in modules},
        {name: _Parameter(p.requires_grad, p.grad) for name, p in model.named_parameters()},
    )


def _give_back(model: nn.Module, before: _Before) -> None:
    for module, mode in before.modes.items():
        module.training = mode
    for module, kinds in before.hooks.items():
        for kind, own in kinds.items():
            hooks = getattr(module, kind)
            for added in hooks.keys() - own:
                del hooks[added]
    for name, parameter in model.named_parameters():
        if name in before.parameters:
            trained, parameter.grad = before.parameters[name]
            parameter.requires_grad_(trained)


@torch.inference_mode(False)
def _move(model: nn.Module, device: torch.device) -> None:
    """To a device; under inference mode its parameters would come out as tensors that cannot be trained."""
    if any(tensor.device != device for tensor in (*model.parameters(), *model.buffers())):
        model.to(device)


def _lacking(model: nn.Module, device: torch.device, error: RuntimeError) -> UsageError:
    dtype = next((p.dtype for p in model.parameters()), torch.float32)
    short = str(dtype).removeprefix("torch.")
    why = str(error).strip().partition("\n")[0]
    return UsageError(f"PyTorch cannot do all of this model in {short} on {device.type} ({why}): take model.float()")
