"""Compatibility scores: how well each local feature answers the query (paper, section 3.2).

A compatibility function takes local features l (n, d, h, w) and a query g (n, d), the global feature, and gives
one score per position (n, h, w). Three properties decide what a query can do, and are read by
`AttentionLevel.blind` and by pruning:

- whether it *reads the query* at all;
- a *separable* score is f(l) + h(g). Softmax over positions cancels h(g), so the map cannot depend on the query;
- `without_shift()` is the same function up to a constant per image, without the parameters that only add one.
"""

from collections.abc import Callable
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from payattention.system.names import Registry


class Compatibility(nn.Module):
    """Base class: `forward(local, query) -> scores`."""

    reads_query: ClassVar[bool] = True
    separable: ClassVar[bool] = False
    """Then `without_shift` must give a function that does not read the query."""

    def forward(self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"]) -> Float[Tensor, "n h w"]:
        raise NotImplementedError

    def without_shift(self) -> "Compatibility":
        """The same scores up to a constant per image, with no more parameters than that needs."""
        return self


class Local(Compatibility):
    """<u, l>: the query plays no part. What `Parametrised` and `Concat` amount to under softmax."""

    reads_query = False
    separable = True

    def __init__(self, dim: int, bias: bool = True) -> None:
        super().__init__()
        self.u = nn.Conv2d(dim, 1, 1, bias=bias)

    def forward(
        self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"] | None = None
    ) -> Float[Tensor, "n h w"]:
        return self.u(local).squeeze(1)

    def without_shift(self) -> Compatibility:
        return _local_with(self.u.weight)


class Parametrised(Compatibility):
    """pc: <u, l + g> (equation 2). u is a 1x1 convolution, with a bias as in the authors' code."""

    separable = True

    def __init__(self, dim: int, bias: bool = True) -> None:
        super().__init__()
        self.u = nn.Conv2d(dim, 1, 1, bias=bias)

    def forward(self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"]) -> Float[Tensor, "n h w"]:
        # <u, l + g> = <u, l> + <u, g>: the sum l + g is never formed
        shift = query @ self.u.weight.flatten()  # (n,)
        return self.u(local).squeeze(1) + shift[:, None, None]

    def without_shift(self) -> Compatibility:
        return _local_with(self.u.weight)


class DotProduct(Compatibility):
    """dp: <l, g> (equation 3), unscaled and without parameters."""

    def __init__(self, dim: int) -> None:
        super().__init__()

    def forward(self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"]) -> Float[Tensor, "n h w"]:
        return torch.einsum("ndhw,nd->nhw", local, query)


class Concat(Compatibility):
    """<u, [l; g]>: the concatenation that the paper replaces by the sum of `pc`."""

    separable = True

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.u = nn.Conv2d(2 * dim, 1, 1)

    def forward(self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"]) -> Float[Tensor, "n h w"]:
        u_local, u_query = self.u.weight.split(self.dim, dim=1)  # (1, d, 1, 1) each
        shift = query @ u_query.flatten()  # (n,)
        return F.conv2d(local, u_local, self.u.bias).squeeze(1) + shift[:, None, None]

    def without_shift(self) -> Compatibility:
        return _local_with(self.u.weight[:, : self.dim])


class Additive(Compatibility):
    """<u, tanh(W l + V g)>: the alignment model of Bahdanau et al. (2014) that equation 2 simplifies.

    The tanh stands between the two terms and the sum over u, so the query matters even under softmax.
    W and V map to `hidden` = min(dim, 256) units, to bound the cost on wide backbones.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = min(dim, 256)
        self.local_to_hidden = nn.Conv2d(dim, hidden, 1, bias=False)
        self.query_to_hidden = nn.Linear(dim, hidden, bias=False)
        self.u = nn.Conv2d(hidden, 1, 1, bias=False)

    def forward(self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"]) -> Float[Tensor, "n h w"]:
        hidden = self.local_to_hidden(local) + self.query_to_hidden(query)[:, :, None, None]  # (n, k, h, w)
        return self.u(hidden.tanh()).squeeze(1)


class GridGate(Compatibility):
    """<phi, relu(W_l l + W_g g)> + b: the gate of Attention-Gated Networks (Schlemper et al., 2018).

    The public PyTorch implementation of the paper carries it as `GridAttentionBlock`; W_l and W_g have no bias.
    """

    def __init__(self, dim: int, bias: bool = True) -> None:
        super().__init__()
        hidden = min(dim, 256)
        self.w_local = nn.Conv2d(dim, hidden, 1, bias=False)
        self.w_query = nn.Linear(dim, hidden, bias=False)
        self.u = nn.Conv2d(hidden, 1, 1, bias=bias)

    def forward(self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"]) -> Float[Tensor, "n h w"]:
        hidden = self.w_local(local) + self.w_query(query)[:, :, None, None]  # (n, k, h, w)
        return self.u(hidden.relu()).squeeze(1)

    def without_shift(self) -> Compatibility:
        gate = GridGate(self.w_local.in_channels, bias=False)
        gate.w_local, gate.w_query = self.w_local, self.w_query
        gate.u.weight = self.u.weight
        return gate


class Uniform(Compatibility):
    """The same score everywhere: under softmax, the mean over positions. A control: what is it worth to look?"""

    reads_query = False
    separable = True

    def __init__(self, dim: int) -> None:
        super().__init__()

    def forward(
        self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"] | None = None
    ) -> Float[Tensor, "n h w"]:
        return torch.zeros_like(local[:, 0])


FromDim = Callable[[int], Compatibility]
"""Makes a compatibility function for local features and queries of so many channels."""

COMPATIBILITIES: Registry[FromDim] = Registry(
    "compatibility function",
    {
        "pc": Parametrised,
        "dp": DotProduct,
        "local": Local,
        "concat": Concat,
        "additive": Additive,
        "grid_gate": GridGate,
        "uniform": Uniform,
    },
)


def create_compatibility(name: str | FromDim, dim: int) -> Compatibility:
    """The compatibility function of that name, or your own, for local features and queries of `dim` channels."""
    return name(dim) if callable(name) else COMPATIBILITIES[name](dim)


def _local_with(weight: Float[Tensor, "1 d 1 1"]) -> Local:
    local = Local(weight.shape[1], bias=False)
    local.u.weight = nn.Parameter(weight.detach().clone())
    return local
