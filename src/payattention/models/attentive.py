"""The paper's construction: a trunk, attention on its tapped layers, a head on nothing but the descriptors."""

from collections.abc import Mapping
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from payattention.attention import MultiLevelAttention
from payattention.models.classifier import Classifier, Look
from payattention.models.heads import Head


class Features(NamedTuple):
    """What a trunk gives: local features (n, d, h, w) by level and the global feature g (n, q), if it has one."""

    local: dict[str, Tensor]
    query: Tensor | None


class Trunk(nn.Module):
    """Base class: `forward(images) -> Features`, images already normalised.

    `query_dim` is the number of channels of g; 0 where there is none.
    """

    local_dims: Mapping[str, int]
    query_dim: int
    min_size: int

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Features:
        raise NotImplementedError

    def local_layers(self) -> dict[str, nn.Module]:
        """The modules whose outputs are the local features (n, d, h, w), from low to high; empty if not known."""
        return {}

    def drop_query(self) -> None:
        """Removes, in place, what only makes g. A trunk that cannot tell stops giving g, and keeps the rest."""
        self.query_dim = 0


class AttentiveClassifier(Classifier):
    """Classifies by a trunk's attended features alone; g only asks where to look."""

    def __init__(self, trunk: Trunk, attention: MultiLevelAttention, head: Head) -> None:
        super().__init__()
        self.trunk = trunk
        self.attention = attention
        self.head = head
        self.levels = tuple(attention.dims)
        self.min_size = trunk.min_size
        self.query_dim = trunk.query_dim

    def local_layers(self) -> dict[str, nn.Module]:
        return self.trunk.local_layers()

    def drop_dead(self) -> None:
        self.attention.drop_dead()
        if self.attention.blind:
            self.trunk.drop_query()
            self.query_dim, self.min_size = 0, self.trunk.min_size

    def look(self, images: Float[Tensor, "n 3 h w"], query: Tensor | None) -> Look:
        return self.look_at(self.trunk(self.prepared(images)), query)

    def features(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        return self.head.features(list(self.look(images, None).descriptors.values()))

    def look_at(self, features: Features, query: Tensor | None = None) -> Look:
        """Attention and head on what the trunk gave."""
        local, own = features
        if query is None and self.query_dim:
            query = own
        attended = self.attention(local, query)
        descriptors = {name: level.descriptor for name, level in attended.items()}
        return Look(
            logits=self.head(list(descriptors.values())),
            maps={name: level.map for name, level in attended.items()},
            scores={name: level.scores for name, level in attended.items()},
            descriptors=descriptors,
            query=query,
        )
