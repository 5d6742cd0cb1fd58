"""VGG: the trunk of the paper's networks, its baseline, and a control that the paper lacks.

Layers are named by the number of the convolution, as in the paper: conv1 ... conv15, pool7 after conv7. The authors'
attention networks drop the baseline's first two pools and append conv14 and conv15, each with a pool, so that
layers 7, 10 and 13 have a finer grid (32, 16 and 8 at 32x32 input) -- at 12.1 times the baseline's cost. The controls
tell the two changes apart: `vgg_latepool` is the costly trunk without attention, `vgg_earlypool_att2_concat_pc`
(`payattention.models.attentive_vgg`) is attention on the baseline's cheap trunk.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from functools import partial
from math import prod

from jaxtyping import Float
from torch import Tensor, nn

from payattention.attention import branch_point
from payattention.errors import UsageError
from payattention.models.attentive import Features, Trunk
from payattention.models.classifier import Classifier, Look
from payattention.models.initialisation import initialise
from payattention.models.registry import register
from payattention.system.names import Registry, check_known

# conv1 ... conv15: channels, dropout after the ReLU
_CONVS = (
    (64, 0.3), (64, 0.0), (128, 0.4), (128, 0.0), (256, 0.4), (256, 0.4), (256, 0.0), (512, 0.4), (512, 0.4),
    (512, 0.0), (512, 0.4), (512, 0.4), (512, 0.0), (512, 0.4), (512, 0.4),
)  # fmt: skip
_QUERY_CHANNELS = 512

# Pools after these convolutions: window and stride. The last pool is adaptive (`None`), so that any input size ends
# in one vector; at the input size named it is the authors' pool exactly.
Pools = Mapping[int, int | None]
BASELINE_POOLS: Registry[Pools] = Registry(
    "layout",
    {
        "cifar": {2: 2, 4: 2, 7: 2, 10: 2, 13: None},  # 32x32
        "cub": {2: 2, 4: 2, 7: 2, 10: 2, 12: 2, 13: None},  # 80x80: 3x3 at conv13
    },
)
LATE_POOLS: Registry[Pools] = Registry(
    "layout",
    {
        "cifar": {7: 2, 10: 2, 13: 2, 14: 2, 15: None},  # 32x32
        "cub": {7: 5, 10: 2, 13: 2, 14: 2, 15: None},  # 80x80: 16x16 at layer 10, as at 32x32
    },
)


NO_ATTENTION = dict.fromkeys(
    (
        "compatibility",
        "normaliser",
        "prior",
        "scaled",
        "projection",
        "taps",
        "queries",
        "head",
        "head_norm",
        "branch_grad",
        "combination",
    ),
    "it has no attention",
)
"""Why the networks without attention lack its options."""


class ConvBlock(nn.Sequential):
    """3x3 convolution - batch norm - ReLU - dropout."""

    def __init__(self, in_channels: int, channels: int, dropout: float) -> None:
        super().__init__(
            OrderedDict(
                conv=nn.Conv2d(in_channels, channels, 3, padding=1),
                norm=nn.BatchNorm2d(channels, eps=1e-3),
                relu=nn.ReLU(inplace=True),
                dropout=nn.Dropout(dropout),
            )
        )


def _pool(window: int | None, grid: int) -> nn.Module:
    return nn.AdaptiveMaxPool2d(grid) if window is None else nn.MaxPool2d(window, ceil_mode=True)


def scaled(channels: int, width: float) -> int:
    """Channels at a width: at least one."""
    return max(1, round(channels * width))


class VGGTrunk(Trunk):
    """Convolutions and pools, tapped on the way, and the global feature g at the end.

    g is the bare output of a linear layer: no batch norm, no ReLU. The layers run in spans, `up_to` each tap and then
    to the `query`, so that a network can act on a level before it goes on (`payattention.models.pan`).

    Args:
        pools: Window of the pool after a convolution, by its number; see `LATE_POOLS`.
        levels: Numbers of the convolutions to tap, ascending.
        taps: "before" the pool that follows a tapped convolution (the paper) or "after" it.
        width: Scales every channel count.
        dropout: Factor on every dropout rate.
        branch_grad: "sum" (the true gradient) or "mean" of the gradients that meet at a tap.
        grid: Side of the grid that the last, adaptive pool leaves; the linear layer behind it sees it whole.
        in_channels: Of the images.
    """

    def __init__(
        self,
        pools: Pools,
        levels: Iterable[int] = (),
        *,
        taps: str = "before",
        width: float = 1.0,
        dropout: float = 1.0,
        branch_grad: str = "sum",
        grid: int = 1,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        last_layers = {f"layer{number}": _tapped(number, pools, taps) for number in levels}
        self.layers = nn.ModuleDict()
        self.local_dims = {}
        self.in_channels = in_channels
        for number, (channels, rate) in enumerate(_CONVS[: max(pools)], start=1):
            channels = scaled(channels, width)
            self.layers[f"conv{number}"] = ConvBlock(in_channels, channels, rate * dropout)
            if number in pools:
                self.layers[f"pool{number}"] = _pool(pools[number], grid)
            if f"layer{number}" in last_layers:
                self.local_dims[f"layer{number}"] = channels
            in_channels = channels
        self.spans = _spans(list(self.layers), last_layers)
        self.tap = nn.ModuleDict({level: branch_point(branch_grad, self.branches_at(level)) for level in last_layers})
        self.query_dim = scaled(_QUERY_CHANNELS, width)
        self.fc16: nn.Module | None = nn.Sequential(
            OrderedDict(dropout=nn.Dropout(0.5 * dropout), linear=nn.Linear(in_channels * grid**2, self.query_dim))
        )
        self.min_size = self._pooled()

    def forward(self, images: Float[Tensor, "n channels h w"]) -> Features:
        local, x = {}, images
        for level in self.local_dims:
            x = local[level] = self.up_to(level, x)
        return Features(local, self.query(x))

    def up_to(self, level: str, x: Float[Tensor, "n a h w"]) -> Float[Tensor, "n d i j"]:
        """The local features of a level, from those of the level below (or the images)."""
        for name in self.spans[level]:
            x = self.layers[name](x)
        return self.tap[level](x)

    def branches_at(self, level: str) -> int:
        """How many branches leave a level: the layers above, and its attention."""
        return 2

    def query(self, x: Float[Tensor, "n d h w"]) -> Float[Tensor, "n q"] | None:
        """The global feature g, from the local features of the last level."""
        if self.fc16 is None:
            return None
        for name in self.spans["query"]:
            x = self.layers[name](x)
        return self.fc16(x.flatten(1))

    def local_layers(self) -> dict[str, nn.Module]:
        return {level: self.layers[self.spans[level][-1]] for level in self.local_dims}

    def layer_groups(self) -> list[list[nn.Module]]:
        """The convolutions between the baseline's pools, wherever this trunk's pools are."""
        groups: dict[int, list[nn.Module]] = {}
        for name, layer in self.layers.items():
            if name.startswith("conv"):
                number = int(name.removeprefix("conv"))
                groups.setdefault(sum(pool < number for pool in BASELINE_POOLS["cifar"]), []).append(layer)
        return list(groups.values())

    def drop_query(self) -> None:
        """Removes, in place, the layers behind the last tap; `min_size` falls with their pools."""
        for name in self.spans["query"]:
            del self.layers[name]
        self.spans["query"], self.fc16, self.query_dim = (), None, 0
        self.min_size = self._pooled()

    def _pooled(self) -> int:
        pools = [layer for layer in self.layers.values() if isinstance(layer, nn.MaxPool2d)]
        return prod(int(pool.stride) for pool in pools)  # type: ignore[arg-type]


def _tapped(number: int, pools: Pools, taps: str) -> str:
    """The name of the layer whose output is a level's local features."""
    check_known("place of the taps", ("before", "after"), taps)
    if taps == "before":
        return f"conv{number}"
    if pools[number] is None:
        raise UsageError(
            f"taps='after' leaves nothing to choose from at layer{number} of this trunk: "
            "its pool makes one position of all; take taps='before'"
        )
    return f"pool{number}"


def _spans(layers: list[str], last_layers: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The layers' names by what they lead to: each level, whose last layer is given, then "query"."""
    spans, start = {}, 0
    for level, last in last_layers.items():
        end = layers.index(last) + 1
        spans[level], start = tuple(layers[start:end]), end
    return {**spans, "query": tuple(layers[start:])}


class PlainVGG(Classifier):
    """A trunk whose global feature is classified: BN-ReLU-Dropout-Linear on g, no attention."""

    def __init__(
        self,
        pools: Mapping[str, Pools],
        num_classes: int,
        width: float = 1.0,
        *,
        layout: str = "cifar",
        dropout: float = 1.0,
        init: str = "default",
        in_channels: int = 3,
    ) -> None:
        super().__init__(in_channels)
        self.trunk = VGGTrunk(pools[layout], width=width, dropout=dropout, in_channels=in_channels)
        self.min_size = self.trunk.min_size
        self.classifier = nn.Sequential(
            nn.BatchNorm1d(self.trunk.query_dim),
            nn.ReLU(),
            nn.Dropout(0.5 * dropout),
            nn.Linear(self.trunk.query_dim, num_classes),
        )
        initialise(self, init)

    def look(self, images: Float[Tensor, "n channels h w"], query: Tensor | None) -> Look:
        return Look(logits=self.classifier(self.trunk(self.prepared(images)).query))

    def local_layers(self) -> dict[str, nn.Module]:
        return {"layer13": self.trunk.layers["conv13"]}

    def features(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n k"]:
        return self.classifier[:-1](self.trunk(self.prepared(images)).query)


register("vgg", partial(PlainVGG, BASELINE_POOLS), "VGG-16 without attention: the paper's baseline", NO_ATTENTION)
register(
    "vgg_latepool",
    partial(PlainVGG, LATE_POOLS),
    "control: the attention networks' trunk and cost, without attention",
    NO_ATTENTION,
)
