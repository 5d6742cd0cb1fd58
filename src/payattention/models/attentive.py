"""The paper's construction: a trunk, attention on its tapped layers, a head on nothing but the descriptors."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple, TypedDict

from jaxtyping import Float
from torch import Tensor, nn

from payattention.attention import MultiLevelAttention
from payattention.attention.combination import create_combination
from payattention.models.classifier import Classifier, Look
from payattention.models.heads import Head, create_head


class Features(NamedTuple):
    """What a trunk gives: local features (n, d, h, w) by level and the global feature g (n, q), if it has one."""

    local: dict[str, Tensor]
    query: Tensor | None


class Trunk(nn.Module):
    """Base class: `forward(images) -> Features`, images already normalised.

    `query_dim` is the number of channels of g; 0 where there is none. A trunk with a global feature for each level
    gives them side by side, and their channels by level in `query_dims`.
    """

    local_dims: Mapping[str, int]
    query_dim: int
    query_dims: Mapping[str, int] | None = None
    min_size: int
    frozen: bool = False
    """Whether its features, which no training changes, can be kept."""
    in_channels: int = 3
    """Of the images that it takes."""
    has_spare_parts: bool = False
    """Whether it may have trained parts that none of its levels needs."""

    def forward(self, images: Float[Tensor, "n channels h w"]) -> Features:
        raise NotImplementedError

    def local_layers(self) -> dict[str, nn.Module]:
        """The modules whose outputs are the local features (n, d, h, w), from low to high; empty if not known."""
        return {}

    def layer_groups(self) -> list[list[nn.Module]]:
        """Its layers from first to last, in the groups that may learn at rates of their own; empty if it has none."""
        return []

    def drop_query(self) -> None:
        """Removes, in place, what only makes g. A trunk that cannot tell stops giving g, and keeps the rest."""
        self.query_dim = 0


class AttentiveClassifier(Classifier):
    """Classifies by a trunk's attended features alone; g only asks where to look.

    Args:
        trunk: Whose features.
        attention: To its levels.
        head: On what was attended to.
        combination: How the levels' maps become one: a name of `payattention.attention.COMBINATIONS`, or of a level.
    """

    def __init__(self, trunk: Trunk, attention: MultiLevelAttention, head: Head, combination: str = "product") -> None:
        super().__init__(trunk.in_channels)
        self.trunk = trunk
        self.attention = attention
        self.head = head
        self.levels = tuple(attention.dims)
        self.min_size = trunk.min_size
        self.query_dim = trunk.query_dim
        self.combination = create_combination(combination, self.levels)

    def local_layers(self) -> dict[str, nn.Module]:
        return self.trunk.local_layers()

    def drop_dead(self) -> None:
        self.attention.drop_dead()
        if self.attention.blind:
            self.trunk.drop_query()
            self.query_dim, self.min_size = 0, self.trunk.min_size

    def look(self, images: Float[Tensor, "n channels h w"], query: Tensor | None) -> Look:
        return self.look_at(self.trunk(self.prepared(images)), query)

    def features(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n k"]:
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
            query_maps={name: level.query_maps for name, level in attended.items()},
        )


class AttentionKeywords(TypedDict, total=False):
    """The keywords of `AttentionOptions`, for those who pass them on."""

    compatibility: str
    normaliser: str
    prior: str
    queries: int | str
    scaled: bool | str
    projection: str
    head: str
    head_norm: bool
    dropout: float
    branch_grad: str
    combination: str


@dataclass(frozen=True)
class AttentionOptions:
    """How a network attends, and what classifies what it saw: the options that the networks here share.

    Attributes:
        compatibility: A name of `payattention.attention.COMPATIBILITIES`.
        normaliser: A name of `payattention.attention.NORMALISERS`.
        prior: A name of `payattention.attention.PRIORS`.
        queries: How many queries ask at each level, and pool a slice each (`payattention.attention.SeveralQueries`). Of
            VGG also a kind of its one query, "shared" or "own" (`payattention.models.attentive_vgg`).
        scaled: Whether scores are divided by the root of the level's channels; those of several queries always are.
            "learned": the factor is learned, and begins smaller.
        projection: A name of `payattention.attention.PROJECTIONS`.
        head: A name of `payattention.models.heads.HEADS`.
        head_norm: BN-ReLU-Dropout on each descriptor before the classifier (the authors' code) or not (the paper).
        dropout: Factor on every dropout rate; 0 switches dropout off.
        branch_grad: "sum" (the true gradient), or "mean" of the gradients that meet where a branch leaves the trunk.
        combination: How the levels' maps become one: a name of `payattention.attention.COMBINATIONS`, or a level's.
    """

    compatibility: str = "pc"
    normaliser: str = "softmax"
    prior: str = "none"
    queries: int | str = 1
    scaled: bool | str = False
    projection: str = "down"
    head: str = "concat"
    head_norm: bool = True
    dropout: float = 1.0
    branch_grad: str = "sum"
    combination: str = "product"

    def attending(self, trunk: Trunk, num_classes: int, head_dropout: float = 0.5) -> AttentiveClassifier:
        """The classifier on a trunk's levels; the head's dropout rate is that of the authors' networks."""
        attention = MultiLevelAttention(
            trunk.local_dims,
            trunk.query_dims or trunk.query_dim,
            projection=self.projection,
            dropout=0.5 * self.dropout,
            branch_grad=self.branch_grad,
            compatibility=self.compatibility,
            normaliser=self.normaliser,
            prior=self.prior,
            queries=self.queries if isinstance(self.queries, int) else 1,
            scaled=self.scaled,
        )
        head = create_head(self.head, attention.dims, num_classes, self.head_norm, head_dropout * self.dropout)
        return AttentiveClassifier(trunk, attention, head, self.combination)


ATTENTION_DEFAULTS: Mapping[str, object] = {field.name: field.default for field in fields(AttentionOptions)}
