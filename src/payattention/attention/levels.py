"""Attention at several depths of one network (paper, figure 2)."""

from collections.abc import Iterable, Mapping
from math import gcd
from typing import NamedTuple, TypedDict, Unpack

import torch
from jaxtyping import Float
from torch import Tensor, nn

from payattention.attention.branch_grad import branch_point
from payattention.attention.compatibility import Compatibility, FromDim, create_compatibility
from payattention.attention.normaliser import Normaliser, create_normaliser
from payattention.attention.prior import Prior, create_prior
from payattention.attention.projection import OwnQueries, create_projection
from payattention.errors import UsageError

LEARNED = "learned"
"""Of `scaled`: the factor is a parameter."""
_BEGIN = -0.75
"""The power of the channels at which it begins: on masks of training splits better than -0.5, which is usual."""


class Attended(NamedTuple):
    """What one level gives: its descriptor g_a (n, d), its map (n, h, w) and the scores before normalisation.

    Of k queries, map and scores are the means; `query_maps` (n, k, h, w) are each one's map, of one query its only one.
    """

    descriptor: Tensor
    map: Tensor
    scores: Tensor
    query_maps: Tensor


class AttentionLevel(nn.Module):
    """One tapped layer: scores, map, descriptor.

    Args:
        compatibility: Whose scores.
        normaliser: What makes a map of them.
        prior: What is added to them; by default nothing.
        scale: What the compatibility's are multiplied with first; a parameter where it is learned.
    """

    def __init__(
        self,
        compatibility: Compatibility,
        normaliser: Normaliser,
        prior: Prior | None = None,
        scale: float | nn.Parameter = 1.0,
    ) -> None:
        super().__init__()
        self.compatibility = compatibility
        self.normaliser = normaliser
        self.prior = prior or Prior()
        self.scale = scale

    @property
    def blind(self) -> bool:
        """Whether the map provably cannot depend on the query."""
        cancelled = self.compatibility.separable and self.normaliser.shift_invariant
        return cancelled or not self.compatibility.reads_query

    def drop_dead(self) -> None:
        """Removes, in place, the parameters that cannot change the map; a blind level then takes no query."""
        if self.normaliser.shift_invariant:
            self.compatibility = self.compatibility.without_shift()

    def scores(
        self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"] | None, deepest: Tensor | None = None
    ) -> Float[Tensor, "n *queries h w"]:
        """Before normalisation, the prior's part included; a level that is alone is its own deepest."""
        return self.prior(self.scale * self.compatibility(local, query), local, local if deepest is None else deepest)

    def forward(
        self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"] | None, deepest: Tensor | None = None
    ) -> Attended:
        scores = self.scores(local, query, deepest)  # (n, h, w)
        weights = self.normaliser(scores)  # (n, h, w)
        return Attended(self.normaliser.estimate(weights, local), weights, scores, weights[:, None])


class SeveralQueries(AttentionLevel):
    """One tapped layer at which k queries ask: each pools its own slice of the values V l, d / k wide.

    The slices stand side by side in the descriptor, which is as wide as one query's. This is efficient probing
    (Psomas et al., 2026), for `local` or `pc` under softmax and with scores divided by sqrt(d). V is applied to what
    was pooled, which is the same as to pool V l, and done once in place of h*w times.

    Args:
        compatibility: One that gives the scores of so many queries.
        normaliser: Of each query's scores.
        prior: Likewise for so many.
        scale: As of any level.
        dim: Channels of the local features, d; k divides them.
        queries: k.
    """

    def __init__(
        self,
        compatibility: Compatibility,
        normaliser: Normaliser,
        prior: Prior,
        scale: float | nn.Parameter,
        *,
        dim: int,
        queries: int,
    ) -> None:
        super().__init__(compatibility, normaliser, prior, scale)
        self.values = nn.Conv1d(queries * dim, dim, 1, groups=queries, bias=False)  # query j's group: its rows of V

    def forward(
        self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"] | None, deepest: Tensor | None = None
    ) -> Attended:
        scores = self.scores(local, query, deepest)  # (n, k, h, w)
        maps = self.normaliser(scores)  # (n, k, h, w)
        pooled = self.normaliser.estimate(maps, local)  # (n, k, d)
        descriptor = self.values(pooled.flatten(1)[:, :, None])[:, :, 0]  # (n, d)
        return Attended(descriptor, maps.mean(1), scores.mean(1), maps)


class LevelKeywords(TypedDict, total=False):
    """The keywords of `create_level`, for those who pass them on."""

    compatibility: str | FromDim
    normaliser: str
    prior: str
    queries: int
    scaled: bool | str


def create_level(
    dim: int,
    *,
    compatibility: str | FromDim = "pc",
    normaliser: str = "softmax",
    prior: str = "none",
    queries: int = 1,
    scaled: bool | str = False,
) -> AttentionLevel:
    """A level for local features and queries of `dim` channels.

    Args:
        dim: Their number.
        compatibility: A name of `COMPATIBILITIES`, or a function from a dimension to your own `Compatibility`; for
            several queries it also takes `queries=`.
        normaliser: A name of `NORMALISERS`.
        prior: A name of `PRIORS`.
        queries: How many queries ask (`SeveralQueries`).
        scaled: Whether scores are divided by sqrt(dim), as in Vaswani et al. (2017). Those of several queries always
            are. `LEARNED`: the level's factor begins at dim^(-3/4) and is learned. It is a number, no matrix, and
            recipes that spare vectors do not let it decay: few steps leave scores small, many make them large.

    Raises:
        UsageError: A number of queries that does not divide `dim`, several with hard attention, or another word for
            `scaled`.
    """
    check_queries(queries, [dim])
    asking = create_compatibility(compatibility, dim, queries)
    normalising, starting = create_normaliser(normaliser), create_prior(prior, queries)
    check_scaled(scaled)
    factor = dim**-0.5 if scaled or queries > 1 else 1.0
    scale = nn.Parameter(torch.tensor(dim**_BEGIN)) if scaled == LEARNED else factor
    if queries == 1:
        return AttentionLevel(asking, normalising, starting, scale)
    if not normalising.soft:
        raise UsageError(
            f"queries is {queries}, but with normaliser={normaliser!r} one position is drawn for a level: take "
            "queries=1, or softmax or sigmoid"
        )
    return SeveralQueries(asking, normalising, starting, scale, dim=dim, queries=queries)


def check_scaled(scaled: object) -> None:
    """Raises UsageError for what `create_level` cannot take as `scaled`."""
    if not isinstance(scaled, bool) and scaled != LEARNED:
        raise UsageError(f"scaled is {scaled!r}: it takes true, false, or {LEARNED}, by default false")


def check_queries(queries: int, dims: Iterable[int]) -> None:
    """Raises UsageError for a number of queries that cannot share the channels of levels of these dimensions."""
    common = gcd(*dims)
    if queries < 1 or common % queries:
        channels, fitting = sorted(set(dims)), [count for count in range(1, common + 1) if common % count == 0]
        raise UsageError(
            f"queries is {queries}: they share the channels of a level equally, {' or '.join(map(str, channels))} "
            f"here; take one of {', '.join(map(str, fitting))}"
        )


class MultiLevelAttention(nn.Module):
    """Attention levels that share one query.

    Args:
        local_dims: Channels of the local features by level, in network order, e.g. `{"layer7": 256, ...}`.
        query_dim: Channels of the global feature g; or by level, where each has its own, given side by side.
        projection: A name of `PROJECTIONS`: what is mapped where the two dimensions differ.
        dropout: Rate inside the query's projection.
        branch_grad: "sum", or "mean" of the gradients that the levels send back to g.
        **level: How each level attends, as `create_level` takes it.
    """

    def __init__(
        self,
        local_dims: Mapping[str, int],
        query_dim: int | Mapping[str, int],
        *,
        projection: str = "down",
        dropout: float = 0.5,
        branch_grad: str = "sum",
        **level: Unpack[LevelKeywords],
    ) -> None:
        super().__init__()
        self.share = branch_point(branch_grad, len(local_dims) if isinstance(query_dim, int) else 1)
        self.projection = (
            create_projection(projection, local_dims, query_dim, dropout)
            if isinstance(query_dim, int)
            else OwnQueries(query_dim)
        )
        check_queries(level.get("queries", 1), self.dims.values())
        self.levels = nn.ModuleDict({name: create_level(dim, **level) for name, dim in self.dims.items()})

    @property
    def dims(self) -> dict[str, int]:
        """Dimension of each level's descriptor."""
        return self.projection.dims

    @property
    def blind(self) -> bool:
        """Whether no map can depend on the query: then the whole global branch is dead."""
        return all(level.blind for level in self.levels.values())

    def drop_dead(self) -> None:
        """Removes, in place, the parameters that cannot change a map; if all are blind, `forward` takes no query."""
        if self.blind:
            self.projection.drop_queries()
        for level in self.levels.values():
            level.drop_dead()  # type: ignore[operator]

    def forward(self, local: Mapping[str, Tensor], query: Float[Tensor, "n q"] | None) -> dict[str, Attended]:
        queries = {} if query is None else self.projection.queries(self.share(query))
        own = {name: self.projection.local(name, local[name]) for name in self.levels}
        deepest = list(own.values())[-1]
        return {name: level(own[name], queries.get(name), deepest) for name, level in self.levels.items()}
