"""VGG-PAN: progressive attention (Seo et al., 2016), as the authors' code builds it for comparison.

The first level's map, a sigmoid, multiplies the features of layer 10 (or 7) on their way up; the second is the paper's
own attention at layer 13, and only its descriptor is classified. Each level has a global branch of its own.
"""

from functools import partial
from typing import Unpack

import torch
from jaxtyping import Float
from torch import Tensor, nn

from payattention.attention.combination import Product
from payattention.attention.levels import create_level
from payattention.errors import UsageError
from payattention.models.attentive import AttentionKeywords, AttentionOptions
from payattention.models.classifier import Classifier, Look
from payattention.models.heads import create_head
from payattention.models.initialisation import initialise
from payattention.models.own_queries import LevelQuery
from payattention.models.registry import register
from payattention.models.vgg import LATE_POOLS, VGGTrunk
from payattention.system.names import Registry

UPPER = "layer13"
GATES = Registry("gate level", {"layer10": 10, "layer7": 7})
"""The levels that can be gated, and the number of their layer."""


class ProgressiveVGG(Classifier):
    """Attention that gates the features below, then attention that is classified.

    Its query is the concatenation [g of layer 10; g of layer 13], (n, 1024): a foreign query replaces both, and
    `query_of` gives both. g of layer 13 is the one made from the image's own, gated features. After pruning, only
    the queries that a map can see are left.

    Args:
        num_classes: Number of classes.
        width: Scales every channel count.
        layout: "cifar", or "cub" for 80x80 pictures.
        gate: Normaliser of the first map, which multiplies the features; "softmax" is an ablation of the authors' code.
        gate_level: Where that map is: "layer10", or "layer7" (with gate="softmax", another of their ablations).
        init: "default" or "torch7".
        in_channels: Of the images.
        **attention: `AttentionOptions`: compatibility, prior and scale for both levels, the normaliser for layer
            13; no projection and no head.
    """

    def __init__(
        self,
        num_classes: int,
        width: float = 1.0,
        *,
        layout: str = "cifar",
        gate: str = "sigmoid",
        gate_level: str = "layer10",
        init: str = "default",
        in_channels: int = 3,
        **attention: Unpack[AttentionKeywords],
    ) -> None:
        super().__init__(in_channels)
        chosen = AttentionOptions(**attention)
        self.lower, self.levels = gate_level, (gate_level, UPPER)
        taps = (GATES[gate_level], 13)
        pools = LATE_POOLS[layout]
        self.trunk = VGGTrunk(
            pools,
            taps,
            width=width,
            dropout=chosen.dropout,
            branch_grad=chosen.branch_grad,
            in_channels=in_channels,
        )
        dims = self.trunk.local_dims
        lower_dim = dims[gate_level]
        self.lower_query: nn.Module | None = LevelQuery(gate_level, lower_dim, lower_dim, chosen.dropout)
        level = partial(create_level, compatibility=chosen.compatibility, prior=chosen.prior, scaled=chosen.scaled)
        self.gate = level(lower_dim, normaliser=gate)
        if not self.gate.normaliser.soft:
            raise UsageError(f"gate is {gate!r}: the gate multiplies every position; take sigmoid or softmax")
        self.attention = level(dims[UPPER], normaliser=chosen.normaliser)
        self.head = create_head("concat", {UPPER: dims[UPPER]}, num_classes, chosen.head_norm, 0.5 * chosen.dropout)
        self.min_size = self.trunk.min_size
        self.query_dims = {gate_level: lower_dim, UPPER: self.trunk.query_dim}
        self.query_dim = sum(self.query_dims.values())
        self.combination = Product(root=False)  # the upper map has the lower one in it
        initialise(self, init)

    def look(self, images: Float[Tensor, "n channels h w"], query: Tensor | None) -> Look:
        foreign = self._by_level(query)
        local = self.trunk.up_to(self.lower, self.prepared(images))  # (n, d, h, w)
        lower_query = foreign.get(self.lower)
        if lower_query is None and self.lower_query is not None:
            lower_query = self.lower_query(local)
        gate = self.gate(local, lower_query)

        local = self.trunk.up_to(UPPER, local * gate.map[:, None])  # (n, d, h/2, w/2)
        upper_query = foreign[UPPER] if UPPER in foreign else self.trunk.query(local)
        attended = self.attention(local, upper_query)
        used = [g for g in (lower_query, upper_query) if g is not None]
        return Look(
            logits=self.head([attended.descriptor]),
            maps={self.lower: gate.map, UPPER: attended.map},
            scores={self.lower: gate.scores, UPPER: attended.scores},
            descriptors={self.lower: gate.descriptor, UPPER: attended.descriptor},
            query=torch.cat(used, dim=1) if used else None,
            query_maps={self.lower: gate.query_maps, UPPER: attended.query_maps},
        )

    def local_layers(self) -> dict[str, nn.Module]:
        return self.trunk.local_layers()

    def features(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n k"]:
        return self.head.features([self.look(images, None).descriptors[UPPER]])

    def drop_dead(self) -> None:
        for level in (self.gate, self.attention):
            level.drop_dead()
        if self.gate.blind:
            self.lower_query = None
            self.query_dims.pop(self.lower, None)
        if self.attention.blind:
            self.trunk.drop_query()
            self.query_dims.pop(UPPER, None)
        self.query_dim, self.min_size = sum(self.query_dims.values()), self.trunk.min_size

    def _by_level(self, query: Tensor | None) -> dict[str, Tensor]:
        if query is None:
            return {}
        return dict(zip(self.query_dims, query.split(list(self.query_dims.values()), dim=1), strict=True))


register(
    "vgg_pan",
    ProgressiveVGG,
    "progressive attention: a sigmoid map gates layer 10, softmax attention at layer 13, pc",
    lacks={
        "head": "only the last level's descriptor is classified",
        "taps": "its first map multiplies the features before the pool",
        "projection": "each level has a query of its own dimension",
        "queries": "each level has its own, always",
        "combination": "its upper map has the lower one in it, so the two are multiplied",
    },
)
