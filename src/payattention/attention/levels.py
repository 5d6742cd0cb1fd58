"""Attention at several depths of one network (paper, figure 2)."""

from collections.abc import Mapping
from typing import NamedTuple, TypedDict, Unpack

from jaxtyping import Float
from torch import Tensor, nn

from payattention.attention.branch_grad import branch_point
from payattention.attention.compatibility import Compatibility, FromDim, create_compatibility
from payattention.attention.normaliser import Normaliser, create_normaliser
from payattention.attention.prior import Prior, create_prior
from payattention.attention.projection import OwnQueries, create_projection


class Attended(NamedTuple):
    """What one level gives: its descriptor g_a (n, d), its map (n, h, w) and the scores before normalisation."""

    descriptor: Tensor
    map: Tensor
    scores: Tensor


class AttentionLevel(nn.Module):
    """One tapped layer: scores, map, descriptor."""

    def __init__(self, compatibility: Compatibility, normaliser: Normaliser, prior: Prior | None = None) -> None:
        super().__init__()
        self.compatibility = compatibility
        self.normaliser = normaliser
        self.prior = prior or Prior()

    @property
    def blind(self) -> bool:
        """Whether the map provably cannot depend on the query."""
        cancelled = self.compatibility.separable and self.normaliser.shift_invariant
        return cancelled or not self.compatibility.reads_query

    def drop_dead(self) -> None:
        """Removes, in place, the parameters that cannot change the map; a blind level then takes no query."""
        if self.normaliser.shift_invariant:
            self.compatibility = self.compatibility.without_shift()

    def forward(self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"] | None) -> Attended:
        scores = self.prior(self.compatibility(local, query), local)  # (n, h, w)
        weights = self.normaliser(scores)  # (n, h, w)
        return Attended(self.normaliser.estimate(weights, local), weights, scores)


class LevelKeywords(TypedDict, total=False):
    """The keywords of `create_level`, for those who pass them on."""

    compatibility: str | FromDim
    normaliser: str
    prior: str


def create_level(
    dim: int, *, compatibility: str | FromDim = "pc", normaliser: str = "softmax", prior: str = "none"
) -> AttentionLevel:
    """A level for local features and queries of `dim` channels.

    Args:
        dim: Their number.
        compatibility: A name of `COMPATIBILITIES`, or a function from a dimension to your own `Compatibility`.
        normaliser: A name of `NORMALISERS`.
        prior: A name of `PRIORS`.
    """
    return AttentionLevel(create_compatibility(compatibility, dim), create_normaliser(normaliser), create_prior(prior))


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
        return {
            name: level(self.projection.local(name, local[name]), queries.get(name))
            for name, level in self.levels.items()
        }
