"""ResNet-164 with pre-activation bottlenecks (He et al., 2016b), and the paper's attention on its last stages.

The attention networks tap the raw sums that leave the stages (32x32, 16x16 and 8x8 at 32x32 input; the paper calls
them blocks 2, 3 and 4) and append a global branch. Where the authors' scripts for the single-level network contradict
each other (their attention expects 8x8, their trunk gives 4x4), this one is the two-level network with its last level
alone.
"""

from collections import OrderedDict
from typing import Unpack

from jaxtyping import Float
from torch import Tensor, nn

from payattention.attention import branch_point
from payattention.models.attentive import AttentionKeywords, AttentionOptions, AttentiveClassifier, Features, Trunk
from payattention.models.class_activation_map import ClassMapped
from payattention.models.classifier import Look
from payattention.models.initialisation import initialise
from payattention.models.registry import register, register_attentive
from payattention.models.vgg import NO_ATTENTION, scaled

_BLOCKS = 18  # in each of three stages: 9 * 18 + 2 layers in all
_STEM = 16
_STAGES = {1: (64, 1), 2: (128, 2), 3: (256, 2)}  # channels, stride


class Bottleneck(nn.Module):
    """BN-ReLU-1x1, BN-ReLU-3x3, BN-ReLU-1x1, and a shortcut.

    Where the channels change, both arms share the first BN-ReLU and the shortcut is a 1x1 convolution; else it is the
    raw input. The first 1x1 convolution has the stride.
    """

    def __init__(self, in_channels: int, channels: int, inner: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, inner, 1, stride, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, channels, 1, bias=False)
        self.shortcut = nn.Conv2d(in_channels, channels, 1, stride, bias=False) if in_channels != channels else None

    def forward(self, x: Float[Tensor, "n a h w"]) -> Float[Tensor, "n d i j"]:
        active = self.norm1(x).relu()
        y = self.conv1(active)
        y = self.conv2(self.norm2(y).relu())
        y = self.conv3(self.norm3(y).relu())
        return y + (x if self.shortcut is None else self.shortcut(active))


class ResNetTrunk(Trunk):
    """ResNet-164 tapped at the end of stages, and the global branch that makes g.

    Args:
        levels: Numbers of the stages to tap, ascending.
        width: Scales every channel count.
        dropout: Factor on every dropout rate.
        branch_grad: "sum" (the true gradient) or "mean" of the gradients that meet at a tap.
        in_channels: Of the images.
    """

    min_size = 8

    def __init__(
        self,
        levels: tuple[int, ...],
        width: float = 1.0,
        dropout: float = 1.0,
        branch_grad: str = "sum",
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        channels = scaled(_STEM, width)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.stages = nn.ModuleDict()
        self.local_dims = {}
        for number, (full, stride) in _STAGES.items():
            name = f"stage{number}"
            before, channels = channels, scaled(full, width)
            inner = scaled(full // 4, width)
            self.stages[name] = nn.Sequential(
                Bottleneck(before, channels, inner, stride),
                *(Bottleneck(channels, channels, inner, 1) for _ in range(_BLOCKS - 1)),
            )
            if number in levels:
                self.local_dims[name] = channels
        self.tap = branch_point(branch_grad, 2)
        self.to_query: nn.Module | None = _global_branch(channels, dropout)
        self.query_dim = channels

    def forward(self, images: Float[Tensor, "n channels h w"]) -> Features:
        local, x = {}, self.conv1(images)
        for name, stage in self.stages.items():
            x = stage(x)
            if name in self.local_dims:
                x = local[name] = self.tap(x)
        return Features(local, None if self.to_query is None else self.to_query(x))

    def local_layers(self) -> dict[str, nn.Module]:
        return {name: self.stages[name] for name in self.local_dims}

    def layer_groups(self) -> list[list[nn.Module]]:
        return [[self.conv1], *([stage] for stage in self.stages.values())]

    def drop_query(self) -> None:
        self.to_query, self.query_dim = None, 0


def _global_branch(dim: int, dropout: float) -> nn.Module:
    """From stage 3 (n, d, h, w) to g (n, d); at 32x32 input its last pool is the authors' 4x4 one."""
    return nn.Sequential(
        OrderedDict(
            norm1=nn.BatchNorm2d(dim),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2, ceil_mode=True),
            conv=nn.Conv2d(dim, dim, 3, padding=1),
            norm2=nn.BatchNorm2d(dim, eps=1e-3),
            relu2=nn.ReLU(),
            dropout2=nn.Dropout(0.4 * dropout),
            pool2=nn.AdaptiveMaxPool2d(1),
            flatten=nn.Flatten(),
            dropout=nn.Dropout(0.5 * dropout),
            linear=nn.Linear(dim, dim),
        )
    )


class PlainResNet(ClassMapped):
    """BN-ReLU-average-linear on stage 3."""

    min_size = 4

    def __init__(self, num_classes: int, width: float = 1.0, *, init: str = "default", in_channels: int = 3) -> None:
        super().__init__(in_channels)
        self.trunk = ResNetTrunk((3,), width, in_channels=in_channels)
        self.trunk.drop_query()
        dim = self.trunk.local_dims["stage3"]
        self.norm = nn.BatchNorm2d(dim)
        self.classifier = nn.Linear(dim, num_classes)
        start(self, init)

    def averaged(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n d i j"]:
        stage3 = self.trunk(self.prepared(images)).local["stage3"]
        return self.norm(stage3).relu()

    def look(self, images: Float[Tensor, "n channels h w"], query: Tensor | None) -> Look:
        return Look(logits=self.classifier(self.features(images)))

    def local_layers(self) -> dict[str, nn.Module]:
        return self.trunk.local_layers()

    def features(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n k"]:
        return self.averaged(images).mean((2, 3))


def attentive_resnet(
    levels: tuple[int, ...],
    num_classes: int,
    width: float = 1.0,
    *,
    init: str = "default",
    in_channels: int = 3,
    **attention: Unpack[AttentionKeywords],
) -> AttentiveClassifier:
    """ResNet-164 with attention on stages.

    Args:
        levels: Numbers of the tapped stages, ascending.
        num_classes: Number of classes.
        width: Scales every channel count.
        init: "default" or "torch7".
        in_channels: Of the images.
        **attention: `AttentionOptions`.
    """
    options = AttentionOptions(**attention)
    trunk = ResNetTrunk(levels, width, options.dropout, options.branch_grad, in_channels)
    model = options.attending(trunk, num_classes, head_dropout=0.3)
    start(model, init)
    return model


def start(model: nn.Module, init: str) -> None:
    """Fills a fresh ResNet's weights; the authors' ResNet scripts, unlike their VGG ones, zero linear biases too."""
    initialise(model, init)
    if init == "torch7":
        for module in model.modules():
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)


def _register_family() -> None:
    lacks = {
        "layout": "its strides suit any size, 32x32 or 80x80",
        "taps": "no pool follows a stage, whose sums are tapped as they are",
    }
    register(
        "resnet164",
        PlainResNet,
        "ResNet-164 without attention: the paper's second baseline",
        NO_ATTENTION | lacks | {"dropout": "it has no dropout"},
    )
    register_attentive("resnet164", {"att": (3,), "att2": (2, 3), "att3": (1, 2, 3)}, attentive_resnet, "stage", lacks)


_register_family()
