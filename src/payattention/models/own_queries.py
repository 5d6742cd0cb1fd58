"""A global branch for each level: the lower query of VGG-PAN, and the authors' ablations `2_global` and `3_global`.

In the paper one global feature g asks at every level. In these networks each level below the last makes a query of
its own, in its own dimension, by a few more convolutions; the last level's is the trunk's g, as always.
"""

from collections import OrderedDict
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from payattention.models.attentive import Features
from payattention.models.vgg import ConvBlock, VGGTrunk

_CONVS = {"layer7": 3, "layer10": 2}  # of a level's own branch: its grid of 32x32, or 16x16, is halved after each


class LevelQuery(nn.Sequential):
    """From a level's features (n, d, h, w) to its query (n, q): convolutions between pools, then a linear layer.

    At 32x32 input the last pool, adaptive here, is the authors' 2x2 one.
    """

    def __init__(self, level: str, dim: int, query_dim: int, dropout: float) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict(pool1=nn.MaxPool2d(4, ceil_mode=True))
        for number in range(1, _CONVS[level] + 1):
            last = number == _CONVS[level]
            layers[f"conv{number}"] = ConvBlock(dim, dim, 0.4 * dropout)
            layers[f"pool{number + 1}"] = nn.AdaptiveMaxPool2d(1) if last else nn.MaxPool2d(2, ceil_mode=True)
        layers["flatten"] = nn.Flatten()
        layers["dropout"] = nn.Dropout(0.5 * dropout)
        layers["linear"] = nn.Linear(dim, query_dim)
        super().__init__(layers)


class OwnQueriesTrunk(VGGTrunk):
    """VGG's trunk with a query for each level: they are given, and replaced, side by side, (n, sum of the levels' d).

    Args:
        pools: As for `VGGTrunk`.
        levels: Likewise.
        dropout: Factor on every dropout rate.
        **others: Likewise.
    """

    def __init__(self, pools: Any, levels: tuple[int, ...], *, dropout: float = 1.0, **others: Any) -> None:
        super().__init__(pools, levels, dropout=dropout, **others)
        lower = list(self.local_dims.items())[:-1]
        self.own = nn.ModuleDict({level: LevelQuery(level, dim, dim, dropout) for level, dim in lower})
        self.query_dims = {**dict(lower), list(self.local_dims)[-1]: self.query_dim}
        self.query_dim = sum(self.query_dims.values())

    def branches_at(self, level: str) -> int:
        """The layers above and the attention, and below the last level its own global branch."""
        return 2 if level == list(self.spans)[-2] else 3

    def forward(self, images: Float[Tensor, "n channels h w"]) -> Features:
        local, last = super().forward(images)
        if last is None:
            return Features(local, None)
        return Features(local, torch.cat([*(own(local[level]) for level, own in self.own.items()), last], dim=1))

    def drop_query(self) -> None:
        super().drop_query()
        self.own, self.query_dims = nn.ModuleDict(), {}
