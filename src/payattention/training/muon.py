"""Muon: SGD that turns each bank of filters by an orthogonal matrix (Jordan et al. 2024).

The singular values of a momentum are very unequal, so that plain SGD learns along a few directions only; Muon sets
them all to about 1. As in `airbench`, which sets CIFAR-10's speed records with it, filters keep their length: the
batch norm that follows them would undo any other.

timm's and PyTorch's Muon orthogonalise in bfloat16, which a CPU without it emulates, ten times slower than float32;
here it is the gradient's own precision, and the rest of the network is trained by PyTorch's SGD in the same object.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import SGD

# Jordan et al. 2024: the odd polynomial a x + b x^3 + c x^5 drives singular values towards 1, coarsely but in few steps
_A, _B, _C = 3.4445, -4.7750, 2.0315


class Muon(SGD):
    """SGD, but for the parameter groups that say `filters=True`: those are turned.

    Of a turned group, `lr` is the length of a step as a share of the filters' own length (about the angle, in
    radians), and `momentum` the share of the old gradients in their running mean; weight decay plays no part.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group.get("filters"):
                self._turn(group)
        super().step()
        return loss

    def _turn(self, group: dict[str, Any]) -> None:
        for filters in group["params"]:
            if filters.grad is None:
                continue
            mean = self.state[filters].setdefault("momentum_buffer", torch.zeros_like(filters))
            mean.lerp_(filters.grad, 1 - group["momentum"])
            ahead = filters.grad.lerp(mean, group["momentum"])  # Nesterov's
            turn = orthogonalised(ahead.flatten(1)).view_as(filters)  # (out, in, k, k)
            length = filters.norm()
            filters.sub_(turn * (group["lr"] * length / turn.norm().clamp_min(1e-12)))
            filters.mul_(length / filters.norm().clamp_min(1e-12))
            filters.grad = None  # so that SGD passes them over


def orthogonalised(matrix: Float[Tensor, "m n"], steps: int = 3) -> Float[Tensor, "m n"]:
    """About U V' of the singular value decomposition U S V', by Newton and Schulz's iteration.

    After 3 steps, singular values from a fiftieth of the Frobenius norm up have come to lie between 0.68 and 1.21,
    and smaller ones have grown at most 41-fold (a^3); a zero matrix stays zero.
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else matrix.T
    x = x / x.norm().clamp_min(1e-12)
    for _ in range(steps):
        square = x @ x.T  # (m, m): the smaller side
        x = torch.addmm(x, torch.addmm(square, square, square, beta=_B, alpha=_C), x, beta=_A)
    return x if wide else x.T
