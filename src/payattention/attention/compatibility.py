"""Compatibility scores: how well each local feature answers the query (paper, section 3.2).

A compatibility function takes local features l (n, d, h, w) and a query g (n, d), the global feature, and gives
one score per position (n, h, w). Made for several queries it gives as many, (n, k, h, w): it then has what it learned
to tell one place from another, u below, k times over. Three properties decide what a query can do, and are read by
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
    """Base class: `forward(local, query) -> scores`. Those of one query have no dimension for it."""

    reads_query: ClassVar[bool] = True
    separable: ClassVar[bool] = False
    """Then `without_shift` must give a function that does not read the query."""

    def forward(self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"]) -> Float[Tensor, "n *queries h w"]:
        raise NotImplementedError

    def without_shift(self) -> "Compatibility":
        """The same scores up to a constant per image, with no more parameters than that needs."""
        return self


class Local(Compatibility):
    """<u, l>: the query plays no part. What `Parametrised` and `Concat` amount to under softmax."""

    reads_query = False
    separable = True

    def __init__(self, dim: int, bias: bool = True, queries: int = 1) -> None:
        super().__init__()
        self.u = nn.Conv2d(dim, queries, 1, bias=bias)

    def forward(
        self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"] | None = None
    ) -> Float[Tensor, "n *queries h w"]:
        return self.u(local).squeeze(1)

    def without_shift(self) -> Compatibility:
        return _local_with(self.u.weight)


class Parametrised(Compatibility):
    """pc: <u, l + g> (equation 2). u is a 1x1 convolution, with a bias as in the authors' code."""

    separable = True

    def __init__(self, dim: int, bias: bool = True, queries: int = 1) -> None:
        super().__init__()
        self.u = nn.Conv2d(dim, queries, 1, bias=bias)

    def forward(self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"]) -> Float[Tensor, "n *queries h w"]:
        # <u, l + g> = <u, l> + <u, g>: the sum l + g is never formed
        shift = query @ self.u.weight.flatten(1).T  # (n, k)
        return (self.u(local) + shift[:, :, None, None]).squeeze(1)

    def without_shift(self) -> Compatibility:
        return _local_with(self.u.weight)


class DotProduct(Compatibility):
    """dp: <l, g> (equation 3), unscaled and without parameters."""

    def __init__(self, dim: int) -> None:
        super().__init__()

    def forward(self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"]) -> Float[Tensor, "n *queries h w"]:
        return torch.einsum("ndhw,nd->nhw", local, query)


class LiveQueries(Compatibility):
    """<q_j + W_j g, l>: what `dp` is with several queries, each of which g moves in a way of its own."""

    def __init__(self, dim: int, queries: int) -> None:
        super().__init__()
        self.q = nn.Parameter(torch.empty(queries, dim).uniform_(-(dim**-0.5), dim**-0.5))  # as a convolution's u
        self.w = nn.Linear(dim, queries * dim, bias=False)

    def forward(self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"]) -> Float[Tensor, "n k h w"]:
        asked = self.q + self.w(query).unflatten(1, self.q.shape)  # (n, k, d)
        return torch.einsum("nkd,ndhw->nkhw", asked, local)


class Concat(Compatibility):
    """<u, [l; g]>: the concatenation that the paper replaces by the sum of `pc`."""

    separable = True

    def __init__(self, dim: int, queries: int = 1) -> None:
        super().__init__()
        self.dim = dim
        self.u = nn.Conv2d(2 * dim, queries, 1)

    def forward(self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"]) -> Float[Tensor, "n *queries h w"]:
        u_local, u_query = self.u.weight.split(self.dim, dim=1)  # (k, d, 1, 1) each
        shift = query @ u_query.flatten(1).T  # (n, k)
        return (F.conv2d(local, u_local, self.u.bias) + shift[:, :, None, None]).squeeze(1)

    def without_shift(self) -> Compatibility:
        return _local_with(self.u.weight[:, : self.dim])


class Additive(Compatibility):
    """<u, tanh(W l + V g)>: the alignment model of Bahdanau et al. (2014) that equation 2 simplifies.

    The tanh stands between the two terms and the sum over u, so the query matters even under softmax.
    W and V map to `hidden` = min(dim, 256) units, to bound the cost on wide backbones.
    """

    def __init__(self, dim: int, queries: int = 1) -> None:
        super().__init__()
        hidden = min(dim, 256)
        self.local_to_hidden = nn.Conv2d(dim, hidden, 1, bias=False)
        self.query_to_hidden = nn.Linear(dim, hidden, bias=False)
        self.u = nn.Conv2d(hidden, queries, 1, bias=False)

    def forward(self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"]) -> Float[Tensor, "n *queries h w"]:
        hidden = self.local_to_hidden(local) + self.query_to_hidden(query)[:, :, None, None]  # (n, m, h, w)
        return self.u(hidden.tanh()).squeeze(1)


class GridGate(Compatibility):
    """<phi, relu(W_l l + W_g g)> + b: the gate of Attention-Gated Networks (Schlemper et al., 2018).

    The public PyTorch implementation of the paper carries it as `GridAttentionBlock`; W_l and W_g have no bias.
    """

    def __init__(self, dim: int, bias: bool = True, queries: int = 1) -> None:
        super().__init__()
        hidden = min(dim, 256)
        self.w_local = nn.Conv2d(dim, hidden, 1, bias=False)
        self.w_query = nn.Linear(dim, hidden, bias=False)
        self.u = nn.Conv2d(hidden, queries, 1, bias=bias)

    def forward(self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"]) -> Float[Tensor, "n *queries h w"]:
        hidden = self.w_local(local) + self.w_query(query)[:, :, None, None]  # (n, m, h, w)
        return self.u(hidden.relu()).squeeze(1)

    def without_shift(self) -> Compatibility:
        gate = GridGate(self.w_local.in_channels, bias=False, queries=self.u.out_channels)
        gate.w_local, gate.w_query = self.w_local, self.w_query
        gate.u.weight = self.u.weight
        return gate


class Uniform(Compatibility):
    """The same score everywhere: under softmax, the mean over positions. A control: what is it worth to look?"""

    reads_query = False
    separable = True

    def __init__(self, dim: int, queries: int = 1) -> None:
        super().__init__()
        self.queries = queries

    def forward(
        self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"] | None = None
    ) -> Float[Tensor, "n *queries h w"]:
        return torch.zeros_like(local[:, :1]).expand(-1, self.queries, -1, -1).squeeze(1)


def _dot_product(dim: int, queries: int = 1) -> Compatibility:
    return DotProduct(dim) if queries == 1 else LiveQueries(dim, queries)


FromDim = Callable[..., Compatibility]
"""Makes a compatibility function for local features and queries of so many channels; `queries=k`, for k queries."""

COMPATIBILITIES: Registry[FromDim] = Registry(
    "compatibility function",
    {
        "pc": Parametrised,
        "dp": _dot_product,
        "local": Local,
        "concat": Concat,
        "additive": Additive,
        "grid_gate": GridGate,
        "uniform": Uniform,
    },
)


def create_compatibility(name: str | FromDim, dim: int, queries: int = 1) -> Compatibility:
    """The compatibility function of that name, or your own, for local features and queries of `dim` channels."""
    make = name if callable(name) else COMPATIBILITIES[name]
    return make(dim) if queries == 1 else make(dim, queries=queries)


def _local_with(weight: Float[Tensor, "k d 1 1"]) -> Local:
    local = Local(weight.shape[1], bias=False, queries=len(weight))
    local.u.weight = nn.Parameter(weight.detach().clone())
    return local
