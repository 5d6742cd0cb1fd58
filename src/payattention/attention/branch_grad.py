"""What reaches a feature that several branches use: the sum of their gradients, or their mean.

The sum is the true gradient. The authors' scripts take the mean at every branch, so a path through s branches weighs
1/2^s of its true share: `branch_grad="mean"` does the same by scaling gradients, and leaves the forward pass alone.
"""

import torch
from torch import Tensor, nn

from payattention.system.names import check_known

BRANCH_GRADS = ("sum", "mean")


def branch_point(branch_grad: str, branches: int) -> nn.Module:
    """The identity to put where `branches` branches leave a feature.

    Args:
        branch_grad: "sum" or "mean".
        branches: Their number.
    """
    check_known("branch gradient", BRANCH_GRADS, branch_grad)
    return BranchPoint(branches) if branch_grad == "mean" and branches > 1 else nn.Identity()


class BranchPoint(nn.Module):
    """An identity whose gradient is divided by the number of branches that leave it."""

    def __init__(self, branches: int) -> None:
        super().__init__()
        self.branches = branches

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = _ScaledGradient.apply(x, 1 / self.branches)
        return scaled


class _ScaledGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, scale: float) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        return grad * ctx.scale, None
