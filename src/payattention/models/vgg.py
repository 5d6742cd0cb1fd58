"""The VGG family: the paper's baseline, its attention networks, and two controls that the paper lacks.

Layers are named by the number of the convolution, as in the paper: conv1 ... conv15, pool7 after conv7. The authors'
attention networks drop the baseline's first two pools and append conv14 and conv15, each with a pool, so that
layers 7, 10 and 13 have a finer grid (32, 16 and 8 at 32x32 input) -- at 12.1 times the baseline's cost. The controls
tell the two changes apart: `vgg_latepool` is the costly trunk without attention, `vgg_earlypool_att2_concat_pc` is
attention on the baseline's cheap trunk.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from payattention.attention import MultiLevelAttention
from payattention.errors import unknown
from payattention.heads import create_head
from payattention.models.attentive import AttentiveClassifier, BranchPoint, Features, Trunk
from payattention.models.classifier import Classifier, Look
from payattention.models.initialisation import initialise
from payattention.models.registry import register

# conv1 ... conv15: channels, dropout after the ReLU
_CONVS = (
    (64, 0.3), (64, 0.0), (128, 0.4), (128, 0.0), (256, 0.4), (256, 0.4), (256, 0.0), (512, 0.4), (512, 0.4),
    (512, 0.0), (512, 0.4), (512, 0.4), (512, 0.0), (512, 0.4), (512, 0.4),
)  # fmt: skip
_QUERY_CHANNELS = 512

# Pools after these convolutions: window and stride. The last pool is adaptive (`None`), so that any input size ends
# in one vector; at the input size named it is the authors' pool exactly.
_Pools = Mapping[int, int | None]
_BASELINE_POOLS: dict[str, _Pools] = {
    "cifar": {2: 2, 4: 2, 7: 2, 10: 2, 13: None},  # 32x32
    "cub": {2: 2, 4: 2, 7: 2, 10: 2, 12: 2, 13: None},  # 80x80: 3x3 at conv13
}
_LATE_POOLS: dict[str, _Pools] = {
    "cifar": {7: 2, 10: 2, 13: 2, 14: 2, 15: None},  # 32x32
    "cub": {7: 5, 10: 2, 13: 2, 14: 2, 15: None},  # 80x80: 16x16 at layer 10, as at 32x32
}


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


def _pool(window: int | None) -> nn.Module:
    return nn.AdaptiveMaxPool2d(1) if window is None else nn.MaxPool2d(window, ceil_mode=True)


def scaled(channels: int, width: float) -> int:
    """Channels at a width: at least one."""
    return max(1, round(channels * width))


class VGGTrunk(Trunk):
    """Convolutions and pools, tapped on the way, and the global feature g at the end.

    g is the bare output of a linear layer: no batch norm, no ReLU.

    Args:
        pools: Window of the pool after a convolution, by its number; see `_LATE_POOLS`.
        levels: Numbers of the convolutions to tap.
        taps: "before" the pool that follows a tapped convolution (the paper) or "after" it.
        width: Scales every channel count.
        dropout: Factor on every dropout rate.
        branch_grad: "sum" (the true gradient) or "mean" of the gradients that meet at a tap.
    """

    def __init__(
        self,
        pools: _Pools,
        levels: Iterable[int] = (),
        *,
        taps: str = "before",
        width: float = 1.0,
        dropout: float = 1.0,
        branch_grad: str = "sum",
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        in_channels, self.min_size, self.local_dims = 3, 1, {}
        for number, (channels, rate) in enumerate(_CONVS[: max(pools)], start=1):
            channels = scaled(channels, width)
            self.layers[f"conv{number}"] = ConvBlock(in_channels, channels, rate * dropout)
            if number in pools:
                self.layers[f"pool{number}"] = _pool(pools[number])
                self.min_size *= pools[number] or 1
            if number in levels:
                self.local_dims[f"layer{number}"] = channels
            in_channels = channels
        tapped = {"before": "conv", "after": "pool"}
        if taps not in tapped:
            raise unknown("place of the taps", taps, tapped)
        self.taps = {f"{tapped[taps]}{number}": f"layer{number}" for number in levels}

        if branch_grad not in ("sum", "mean"):
            raise unknown("branch gradient", branch_grad, ("sum", "mean"))
        mean = branch_grad == "mean" and bool(self.taps)
        self.tap = BranchPoint(2) if mean else nn.Identity()
        self.query_dim = scaled(_QUERY_CHANNELS, width)
        self.fc16 = nn.Sequential(
            OrderedDict(
                dropout=nn.Dropout(0.5 * dropout),
                linear=nn.Linear(in_channels, self.query_dim),
                branch=BranchPoint(len(self.taps)) if mean else nn.Identity(),
            )
        )

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Features:
        local, x = {}, images
        for name, layer in self.layers.items():
            x = layer(x)
            if name in self.taps:
                x = local[self.taps[name]] = self.tap(x)
        return Features(local, self.fc16(x.flatten(1)))


class PlainVGG(Classifier):
    """A trunk whose global feature is classified: BN-ReLU-Dropout-Linear on g, no attention."""

    def __init__(
        self,
        pools: Mapping[str, _Pools],
        num_classes: int,
        width: float = 1.0,
        *,
        layout: str = "cifar",
        dropout: float = 1.0,
        init: str = "default",
    ) -> None:
        super().__init__()
        self.trunk = VGGTrunk(_of_layout(pools, layout), width=width, dropout=dropout)
        self.min_size = self.trunk.min_size
        self.classifier = nn.Sequential(
            nn.BatchNorm1d(self.trunk.query_dim),
            nn.ReLU(),
            nn.Dropout(0.5 * dropout),
            nn.Linear(self.trunk.query_dim, num_classes),
        )
        initialise(self, init)

    def look(self, images: Float[Tensor, "n 3 h w"], query: Tensor | None) -> Look:
        return Look(logits=self.classifier(self.trunk(self.prepared(images)).query))


def attentive_vgg(
    pools: Mapping[str, _Pools],
    levels: tuple[int, ...],
    num_classes: int,
    width: float = 1.0,
    *,
    layout: str = "cifar",
    compatibility: str = "pc",
    normaliser: str = "softmax",
    projection: str = "down",
    taps: str = "before",
    head: str = "concat",
    head_norm: bool = True,
    dropout: float = 1.0,
    branch_grad: str = "sum",
    init: str = "default",
) -> AttentiveClassifier:
    """VGG with attention on the layers `levels`.

    Args:
        pools: Pools of each layout.
        levels: Tapped convolutions, of 7, 10 and 13.
        num_classes: Number of classes.
        width: Scales every channel count.
        layout: "cifar", or "cub" for 80x80 pictures: the first pool is 5x5 (method of the authors' CUB networks).
        compatibility: A name of `payattention.attention.COMPATIBILITIES`.
        normaliser: A name of `payattention.attention.NORMALISERS`.
        projection: A name of `payattention.attention.PROJECTIONS`.
        taps: "before" or "after" the pool.
        head: A name of `payattention.heads.HEADS`.
        head_norm: BN-ReLU-Dropout on each descriptor before the classifier (the authors' code) or not (the paper).
        dropout: Factor on every dropout rate; 0 switches dropout off.
        branch_grad: "sum" or "mean".
        init: "default" or "torch7".
    """
    trunk = VGGTrunk(
        _of_layout(pools, layout), levels, taps=taps, width=width, dropout=dropout, branch_grad=branch_grad
    )
    attention = MultiLevelAttention(
        trunk.local_dims,
        trunk.query_dim,
        compatibility=compatibility,
        normaliser=normaliser,
        projection=projection,
        dropout=0.5 * dropout,
    )
    classifier = create_head(head, attention.dims, num_classes, head_norm, 0.5 * dropout)
    model = AttentiveClassifier(trunk, attention, classifier)
    initialise(model, init)
    return model


def _of_layout(pools: Mapping[str, _Pools], layout: str) -> _Pools:
    if layout not in pools:
        raise unknown("layout", layout, pools)
    return pools[layout]


def _register_family() -> None:
    register("vgg", partial(PlainVGG, _BASELINE_POOLS), "VGG-16 without attention: the paper's baseline")
    register(
        "vgg_latepool",
        partial(PlainVGG, _LATE_POOLS),
        "control: the attention networks' trunk and cost, without attention",
    )
    depths = {"att": (13,), "att2": (10, 13), "att3": (7, 10, 13)}
    for depth, levels in depths.items():
        for head in ("",) if depth == "att" else ("concat", "indep"):
            for compatibility in ("dp", "pc"):
                name = "_".join(filter(None, ("vgg", depth, head, compatibility)))
                layers = " and ".join(map(str, levels)) if len(levels) < 3 else "7, 10 and 13"
                build = partial(attentive_vgg, _LATE_POOLS, levels, head=head or "concat", compatibility=compatibility)
                register(name, build, f"attention at layer {layers}, {compatibility}{head and ', ' + head}")
    register(
        "vgg_earlypool_att2_concat_pc",
        partial(attentive_vgg, _BASELINE_POOLS, (10, 13)),
        "control: attention on the baseline's cheap trunk",
    )


_register_family()
