"""Batch norm over the whole batch of several processes, so that they train what one process would.

PyTorch's `SyncBatchNorm` knows no CPU, and converting modules to it would lose what subclasses of batch norm do besides
(timm's have the activation in them). So it is the function that is replaced, for as long as a forward pass lasts.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.overrides import TorchFunctionMode


class SynchronisedBatchNorm(TorchFunctionMode):
    """While it is entered, batch norm in training mode takes its moments from the batches of all processes.

    Every process must have as many images.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return (batch_norm if func is F.batch_norm else func)(*args, **(kwargs or {}))


def batch_norm(
    x: Float[Tensor, "n c ..."],
    running_mean: Float[Tensor, " c"] | None,
    running_var: Float[Tensor, " c"] | None,
    weight: Float[Tensor, " c"] | None = None,
    bias: Float[Tensor, " c"] | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Float[Tensor, "n c ..."]:
    """`torch.nn.functional.batch_norm`, in training mode over all processes."""
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    others = [d for d in range(x.ndim) if d != 1]
    shape = [-1 if d == 1 else 1 for d in range(x.ndim)]
    processes = dist.get_world_size()
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    mean = summed(wide.mean(others)) / processes  # (c,)
    centred = wide - mean.view(shape)
    variance = summed(centred.square().mean(others)) / processes
    if running_mean is not None and running_var is not None:
        count = processes * x.numel() // x.shape[1]
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((variance * count / max(count - 1, 1)).to(running_var.dtype), momentum)
    y = centred * (variance + eps).rsqrt().view(shape)
    if weight is not None:
        y = y * weight.view(shape)
    if bias is not None:
        y = y + bias.view(shape)
    return y.to(x.dtype)


def summed(x: Tensor) -> Tensor:
    """The sum of a tensor over all processes; the gradient is that of all their losses."""
    total: Tensor = _Summed.apply(x)
    return total


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Summed.forward(ctx, gradient)
