"""VGG-PAN: progressive attention (Seo et al., 2016), as the authors' code builds it for comparison.

The first level's map, a sigmoid, multiplies the features of layer 10 on their way up; the second is the paper's own
attention at layer 13, and only its descriptor is classified. Each level has a global branch of its own.
"""

from collections import OrderedDict
from typing import Unpack

import torch
from jaxtyping import Float
from torch import Tensor, nn

from payattention.attention import AttentionLevel
from payattention.attention.compatibility import create_compatibility
from payattention.attention.normaliser import create_normaliser
from payattention.errors import UsageError
from payattention.models.attentive import AttentionKeywords, AttentionOptions
from payattention.models.classifier import Classifier, Look
from payattention.models.heads import create_head
from payattention.models.initialisation import initialise
from payattention.models.registry import register
from payattention.models.vgg import LATE_POOLS, ConvBlock, VGGTrunk, of_layout

LOWER, UPPER = "layer10", "layer13"


class LowerQuery(nn.Sequential):
    """The lower level's own global branch: two convolutions between pools, then a linear layer."""

    def __init__(self, dim: int, query_dim: int, dropout: float) -> None:
        super().__init__(
            OrderedDict(
                pool1=nn.MaxPool2d(4, ceil_mode=True),
                conv1=ConvBlock(dim, dim, 0.4 * dropout),
                pool2=nn.MaxPool2d(2, ceil_mode=True),
                conv2=ConvBlock(dim, dim, 0.4 * dropout),
                pool3=nn.AdaptiveMaxPool2d(1),
                flatten=nn.Flatten(),
                dropout=nn.Dropout(0.5 * dropout),
                linear=nn.Linear(dim, query_dim),
            )
        )


class ProgressiveVGG(Classifier):
    """Attention that gates the features below, then attention that is classified.

    Its query is the concatenation [g of layer 10; g of layer 13], (n, 2 q): a foreign query replaces both, and
    `query_of` gives both. g of layer 13 is the one made from the image's own, gated features. After pruning, only
    the queries that a map can see are left.

    Args:
        num_classes: Number of classes.
        width: Scales every channel count.
        layout: "cifar", or "cub" for 80x80 pictures.
        gate: Normaliser of layer 10, whose map multiplies the features; "softmax" is an ablation of the authors' code.
        init: "default" or "torch7".
        **attention: `AttentionOptions`: the compatibility for both levels, the normaliser for layer 13; no projection
            and no head.
    """

    levels = (LOWER, UPPER)
    progressive = True

    def __init__(
        self,
        num_classes: int,
        width: float = 1.0,
        *,
        layout: str = "cifar",
        gate: str = "sigmoid",
        init: str = "default",
        **attention: Unpack[AttentionKeywords],
    ) -> None:
        super().__init__()
        chosen = AttentionOptions(**attention)
        pools = of_layout(LATE_POOLS, layout)
        self.trunk = VGGTrunk(pools, (10, 13), width=width, dropout=chosen.dropout, branch_grad=chosen.branch_grad)
        dims, query_dim = self.trunk.local_dims, self.trunk.query_dim
        self.lower_query: nn.Module | None = LowerQuery(dims[LOWER], query_dim, chosen.dropout)
        self.gate = _level(chosen.compatibility, dims[LOWER], gate)
        if not self.gate.normaliser.soft:
            raise UsageError(f"gate is {gate!r}: the gate multiplies every position; take sigmoid or softmax")
        self.attention = _level(chosen.compatibility, dims[UPPER], chosen.normaliser)
        self.head = create_head("concat", {UPPER: dims[UPPER]}, num_classes, chosen.head_norm, 0.5 * chosen.dropout)
        self.min_size = self.trunk.min_size
        self.query_dims = {LOWER: query_dim, UPPER: query_dim}
        self.query_dim = sum(self.query_dims.values())
        initialise(self, init)

    def look(self, images: Float[Tensor, "n 3 h w"], query: Tensor | None) -> Look:
        foreign = self._by_level(query)
        local = self.trunk.up_to(LOWER, self.prepared(images))  # (n, d, h, w)
        lower_query = foreign.get(LOWER)
        if lower_query is None and self.lower_query is not None:
            lower_query = self.lower_query(local)
        gate = self.gate(local, lower_query)

        local = self.trunk.up_to(UPPER, local * gate.map[:, None])  # (n, d, h/2, w/2)
        upper_query = foreign[UPPER] if UPPER in foreign else self.trunk.query(local)
        attended = self.attention(local, upper_query)
        used = [g for g in (lower_query, upper_query) if g is not None]
        return Look(
            logits=self.head([attended.descriptor]),
            maps={LOWER: gate.map, UPPER: attended.map},
            scores={LOWER: gate.scores, UPPER: attended.scores},
            descriptors={LOWER: gate.descriptor, UPPER: attended.descriptor},
            query=torch.cat(used, dim=1) if used else None,
        )

    def local_layers(self) -> dict[str, nn.Module]:
        return self.trunk.local_layers()

    def features(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        return self.head.features([self.look(images, None).descriptors[UPPER]])

    def drop_dead(self) -> None:
        for level in (self.gate, self.attention):
            level.drop_dead()
        if self.gate.blind:
            self.lower_query = None
            self.query_dims.pop(LOWER, None)
        if self.attention.blind:
            self.trunk.drop_query()
            self.query_dims.pop(UPPER, None)
        self.query_dim, self.min_size = sum(self.query_dims.values()), self.trunk.min_size

    def _by_level(self, query: Tensor | None) -> dict[str, Tensor]:
        if query is None:
            return {}
        return dict(zip(self.query_dims, query.split(list(self.query_dims.values()), dim=1), strict=True))


def _level(compatibility: str, dim: int, normaliser: str) -> AttentionLevel:
    return AttentionLevel(create_compatibility(compatibility, dim), create_normaliser(normaliser))


register(
    "vgg_pan",
    ProgressiveVGG,
    "progressive attention: a sigmoid map gates layer 10, softmax attention at layer 13, pc",
    lacks={
        "head": "only the last level's descriptor is classified",
        "taps": "its first map multiplies the features before the pool",
        "projection": "both its levels have the query's dimension",
    },
)
