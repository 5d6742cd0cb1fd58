"""The paper's construction: a trunk, attention on its tapped layers, a head on nothing but the descriptors."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from payattention.attention import MultiLevelAttention
from payattention.heads import Head
from payattention.models.classifier import Classifier, Look


class Features(NamedTuple):
    """What a trunk gives: local features (n, d, h, w) by level and the global feature g (n, q)."""

    local: dict[str, Tensor]
    query: Tensor


class Trunk(nn.Module):
    """Base class: `forward(images) -> Features`, images already normalised."""

    local_dims: Mapping[str, int]
    query_dim: int
    min_size: int

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Features:
        raise NotImplementedError


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

    def look(self, images: Float[Tensor, "n 3 h w"], query: Tensor | None) -> Look:
        return self.look_at(self.trunk(self.prepared(images)), query)

    def look_at(self, features: Features, query: Tensor | None = None) -> Look:
        """Attention and head on what the trunk gave."""
        local, own = features
        query = own if query is None else query
        attended = self.attention(local, query)
        descriptors = {name: level.descriptor for name, level in attended.items()}
        return Look(
            logits=self.head(list(descriptors.values())),
            maps={name: level.map for name, level in attended.items()},
            scores={name: level.scores for name, level in attended.items()},
            descriptors=descriptors,
            query=query,
        )


class _ScaledGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, scale: float) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        return grad * ctx.scale, None


class BranchPoint(nn.Module):
    """An identity whose gradient is divided by the number of branches that leave it.

    The authors' scripts average the gradients that meet at a branch instead of summing them (`branch_grad="mean"`).
    """

    def __init__(self, branches: int) -> None:
        super().__init__()
        self.branches = branches

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = _ScaledGradient.apply(x, 1 / self.branches)
        return scaled
