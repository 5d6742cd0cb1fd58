"""Attention at several depths of one network (paper, figure 2)."""

from collections.abc import Mapping
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from payattention.attention.compatibility import Compatibility, create_compatibility
from payattention.attention.normaliser import Normaliser, create_normaliser
from payattention.attention.projection import create_projection


class Attended(NamedTuple):
    """What one level gives: its descriptor g_a (n, d), its map (n, h, w) and the scores before normalisation."""

    descriptor: Tensor
    map: Tensor
    scores: Tensor


class AttentionLevel(nn.Module):
    """One tapped layer: scores, map, descriptor."""

    def __init__(self, compatibility: Compatibility, normaliser: Normaliser) -> None:
        super().__init__()
        self.compatibility = compatibility
        self.normaliser = normaliser

    @property
    def blind(self) -> bool:
        """Whether the map provably cannot depend on the query."""
        return self.compatibility.separable and self.normaliser.shift_invariant

    def forward(self, local: Float[Tensor, "n d h w"], query: Float[Tensor, "n d"]) -> Attended:
        scores = self.compatibility(local, query)  # (n, h, w)
        weights = self.normaliser(scores)  # (n, h, w)
        return Attended(self.normaliser.estimate(weights, local), weights, scores)


class MultiLevelAttention(nn.Module):
    """Attention levels that share one query.

    Args:
        local_dims: Channels of the local features by level, in network order, e.g. `{"layer7": 256, ...}`.
        query_dim: Channels of the global feature g.
        compatibility: A name of `COMPATIBILITIES`.
        normaliser: A name of `NORMALISERS`.
        projection: A name of `PROJECTIONS`: what is mapped where the two dimensions differ.
        dropout: Rate inside the query's projection.
    """

    def __init__(
        self,
        local_dims: Mapping[str, int],
        query_dim: int,
        *,
        compatibility: str = "pc",
        normaliser: str = "softmax",
        projection: str = "down",
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.projection = create_projection(projection, local_dims, query_dim, dropout)
        self.levels = nn.ModuleDict(
            {
                name: AttentionLevel(create_compatibility(compatibility, dim), create_normaliser(normaliser))
                for name, dim in self.dims.items()
            }
        )

    @property
    def dims(self) -> dict[str, int]:
        """Dimension of each level's descriptor."""
        return self.projection.dims

    @property
    def blind(self) -> bool:
        """Whether no map can depend on the query: then the whole global branch is dead."""
        return all(level.blind for level in self.levels.values())

    def forward(self, local: Mapping[str, Tensor], query: Float[Tensor, "n q"]) -> dict[str, Attended]:
        queries = self.projection.queries(query)
        return {
            name: level(self.projection.local(name, local[name]), queries[name]) for name, level in self.levels.items()
        }
