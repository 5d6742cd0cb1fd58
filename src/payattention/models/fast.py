"""A small trunk of today under the paper's attention, for a few processor cores. Ours, not the paper's.

The trunk is that of airbench (K. Jordan, 2024, arXiv 2404.00498), whose networks set CIFAR-10's speed records: a 2x2
convolution, then three blocks of 3x3 convolutions, each halved right after its first, with batch norm and GELU. It
costs a twenty-sixth of the paper's trunk. Attention taps the blocks' outputs by the same names and options as the
paper's networks. The controls have the same trunk and no attention: `fast` takes the maximum over positions, as
airbench does, `fast_gap` the mean, and `fast_att2_concat_uniform` the mean at two levels.
"""

from collections import OrderedDict
from functools import partial
from typing import Unpack

from jaxtyping import Float
from torch import Tensor, nn

from payattention.attention import branch_point
from payattention.errors import UsageError
from payattention.models.attentive import AttentionKeywords, AttentionOptions, AttentiveClassifier, Features, Trunk
from payattention.models.classifier import Classifier, Look
from payattention.models.gap import GlobalAveragePooling
from payattention.models.initialisation import initialise
from payattention.models.patch_whitening import PatchWhitening
from payattention.models.registry import register, register_attentive
from payattention.models.vgg import NO_ATTENTION, scaled

_STEM = 24
_BLOCKS = {1: 64, 2: 256, 3: 256}  # channels
_MAX_DEPTH = 8


class FastBlock(nn.Module):
    """Convolution - pool - BN - GELU, then more convolutions with BN and GELU, if several added to their input.

    Args:
        in_channels: Channels of the input.
        channels: Channels of every convolution.
        depth: Number of convolutions, from 2.
        ceil_mode: Whether the pool keeps what an odd side leaves over.
    """

    def __init__(self, in_channels: int, channels: int, depth: int, ceil_mode: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2, ceil_mode=ceil_mode)
        self.norm1 = nn.BatchNorm2d(channels)
        self.act = nn.GELU()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for number in range(2, depth + 1):
            layers[f"conv{number}"] = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            layers[f"norm{number}"] = nn.BatchNorm2d(channels)
            if number < depth:
                layers[f"act{number}"] = nn.GELU()
        self.rest = nn.Sequential(layers)
        self.residual = depth > 2

    def forward(self, x: Float[Tensor, "n a h w"]) -> Float[Tensor, "n d i j"]:
        x = self.act(self.norm1(self.pool(self.conv1(x))))
        y = self.rest(x)
        return self.act(x + y if self.residual else y)


class FastTrunk(Trunk):
    """Three blocks, tapped where they end, and the global feature g: a linear layer on the last block's maximum.

    At 32x32 input the blocks end in grids of 16x16, 8x8 and 4x4.

    Args:
        levels: Numbers of the blocks to tap, ascending.
        width: Scales every channel count.
        depth: 3x3 convolutions in a block: 2, or more with a shortcut past all but the first (airbench96: 3).
        whiten: Whether the first layer whitens patches and is not trained (`payattention.models.patch_whitening`).
        ceil_mode: Whether pools keep what an odd side leaves over. Else, as in airbench, grids are 15x15, 7x7 and 3x3,
            a fifth cheaper, and the maps see less and less of the right and lower border.
        dropout: Factor on every dropout rate.
        branch_grad: "sum" (the true gradient) or "mean" of the gradients that meet at a tap.
        in_channels: Of the images.
    """

    min_size = 9

    def __init__(
        self,
        levels: tuple[int, ...],
        *,
        width: float = 1.0,
        depth: int = 2,
        whiten: bool = False,
        ceil_mode: bool = True,
        dropout: float = 1.0,
        branch_grad: str = "sum",
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        if not 2 <= depth <= _MAX_DEPTH:
            raise UsageError(f"depth is {depth}: a block has 2 to {_MAX_DEPTH} convolutions")
        self.in_channels = in_channels
        channels, self.stem = _stem(in_channels, scaled(_STEM, width), whiten)
        self.blocks = nn.ModuleDict()
        self.local_dims = {}
        for number, full in _BLOCKS.items():
            before, channels = channels, scaled(full, width)
            self.blocks[f"block{number}"] = FastBlock(before, channels, depth, ceil_mode)
            if number in levels:
                self.local_dims[f"block{number}"] = channels
        self.tap = branch_point(branch_grad, 2)
        self.query_dim = channels
        self.to_query: nn.Module | None = nn.Sequential(
            OrderedDict(
                pool=nn.AdaptiveMaxPool2d(1),
                flatten=nn.Flatten(),
                dropout=nn.Dropout(0.5 * dropout),
                linear=nn.Linear(channels, channels),
            )
        )

    def forward(self, images: Float[Tensor, "n channels h w"]) -> Features:
        local, x = {}, self.stem(images)
        for name, block in self.blocks.items():
            x = block(x)
            if name in self.local_dims:
                x = local[name] = self.tap(x)
        return Features(local, None if self.to_query is None else self.to_query(x))

    def local_layers(self) -> dict[str, nn.Module]:
        return {name: self.blocks[name] for name in self.local_dims}

    def layer_groups(self) -> list[list[nn.Module]]:
        return [[self.stem], *([block] for block in self.blocks.values())]

    def drop_query(self) -> None:
        self.to_query, self.query_dim = None, 0


def _stem(in_channels: int, channels: int, whiten: bool) -> tuple[int, nn.Module]:
    """The first layer and its channels; what is whitened needs no batch norm, and has as many as it has directions."""
    if whiten:
        whitening = PatchWhitening(in_channels)
        return whitening.out_channels, nn.Sequential(OrderedDict(conv=whitening, act=nn.GELU()))
    conv = nn.Conv2d(in_channels, channels, 2, bias=False)
    return channels, nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(channels), act=nn.GELU()))


def attentive_fast(
    levels: tuple[int, ...],
    num_classes: int,
    width: float = 1.0,
    *,
    depth: int = 2,
    whiten: bool = False,
    ceil_mode: bool = True,
    init: str = "default",
    in_channels: int = 3,
    **attention: Unpack[AttentionKeywords],
) -> AttentiveClassifier:
    """The fast trunk with attention on blocks.

    Args:
        levels: Numbers of the tapped blocks, ascending.
        num_classes: Number of classes.
        width: As for `FastTrunk`, and so the next three.
        depth: See there.
        whiten: See there.
        ceil_mode: See there.
        init: A name of `payattention.models.initialisation.INITIALISATIONS`.
        in_channels: Of the images.
        **attention: `AttentionOptions`.
    """
    options = AttentionOptions(**attention)
    trunk = FastTrunk(
        levels,
        width=width,
        depth=depth,
        whiten=whiten,
        ceil_mode=ceil_mode,
        dropout=options.dropout,
        branch_grad=options.branch_grad,
        in_channels=in_channels,
    )
    model = options.attending(trunk, num_classes)
    initialise(model, init)
    return model


class GlobalMaximumPooling(Classifier):
    """Classifies the maximum of a trunk's only level, by one linear layer.

    Args:
        trunk: What is pooled; the layers behind its level are removed.
        num_classes: Number of classes.
    """

    def __init__(self, trunk: FastTrunk, num_classes: int) -> None:
        super().__init__(trunk.in_channels)
        ((self.level, dim),) = trunk.local_dims.items()
        trunk.drop_query()
        self.trunk, self.min_size = trunk, trunk.min_size
        self.classifier = nn.Linear(dim, num_classes)

    def look(self, images: Float[Tensor, "n channels h w"], query: Tensor | None) -> Look:
        return Look(logits=self.classifier(self.features(images)))

    def local_layers(self) -> dict[str, nn.Module]:
        return self.trunk.local_layers()

    def features(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n k"]:
        return self.trunk(self.prepared(images)).local[self.level].amax((2, 3))


def pooled_fast(
    pooling: type[GlobalMaximumPooling] | type[GlobalAveragePooling],
    num_classes: int,
    width: float = 1.0,
    *,
    depth: int = 2,
    whiten: bool = False,
    ceil_mode: bool = True,
    init: str = "default",
    in_channels: int = 3,
) -> Classifier:
    """The fast trunk without attention: the maximum of its last block (airbench's network) or the mean is classified.

    Args:
        pooling: Which of the two.
        num_classes: Number of classes.
        width: As for `FastTrunk`, and so the next three.
        depth: See there.
        whiten: See there.
        ceil_mode: See there.
        init: A name of `payattention.models.initialisation.INITIALISATIONS`.
        in_channels: Of the images.
    """
    trunk = FastTrunk((3,), width=width, depth=depth, whiten=whiten, ceil_mode=ceil_mode, in_channels=in_channels)
    model = pooling(trunk, num_classes)
    initialise(model, init)
    return model


def _register_family() -> None:
    lacks = {
        "layout": "its pools suit any size",
        "taps": "its pools stand within the blocks, whose ends are tapped",
    }
    plain = NO_ATTENTION | lacks | {"dropout": "it has no dropout"}
    register(
        "fast",
        partial(pooled_fast, GlobalMaximumPooling),
        "ours: a small trunk after airbench, without attention: global maximum pooling",
        plain,
    )
    register(
        "fast_gap",
        partial(pooled_fast, GlobalAveragePooling),
        "control: the same trunk with global average pooling and class activation maps",
        plain,
    )
    register_attentive("fast", {"att": (3,), "att2": (2, 3), "att3": (1, 2, 3)}, attentive_fast, "block", lacks)
    register(
        "fast_att2_concat_uniform",
        partial(attentive_fast, (2, 3), compatibility="uniform"),
        "control: blocks 2 and 3 averaged, as uniform attention would",
        lacks,
    )


_register_family()
