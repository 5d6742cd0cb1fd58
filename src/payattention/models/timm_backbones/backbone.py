"""timm backbones: found by name, built bare, and asked for features at several depths.

Everything here rests on timm's own interface: `create_model`, `feature_info`, `forward_intermediates`,
`prune_intermediate_layers` and the pretrained configuration. timm is imported when a backbone is first wanted.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from payattention.errors import UsageError
from payattention.models.timm_backbones.pretrained import create_pretrained
from payattention.models.without_values import without_values
from payattention.system.names import unknown
from payattention.system.registered import mentioned, registered

MAX_LEVELS = 4
MAX_SIDE = 4096
"""Pixels: a transformer's positions for more have no use yet, and would need the memory of a whole machine."""
_SMALLEST = {"InceptionV3": 75, "InceptionV4": 75, "InceptionResnetV2": 75}
"""Pixels below which convolutions without padding leave nothing, where that is more than the last stride."""


@dataclass(frozen=True)
class Tap:
    """One place where features leave a backbone: its index in timm's list, name, channels and stride in pixels."""

    index: int
    name: str
    channels: int
    stride: int


def _is_architecture(name: str) -> bool:
    """Whether timm builds networks of this name: its own, those it renamed, those registered by its user."""
    if "timm" not in sys.modules and not mentioned("timm", name):
        return False
    import timm

    return timm.is_model(name)


@cache
def check_backbone(name: str) -> None:
    """Raises UsageError unless timm knows an architecture of this name, or name and tag (`resnet18.a1_in1k`)."""
    architecture, _, tag = name.partition(".")
    if not _is_architecture(architecture):
        raise unknown("timm backbone", name, registered("timm"), "timm.list_models() names them all")
    import timm

    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise UsageError(f"{architecture!r} has no weights tagged {tag!r}; its tags: {', '.join(tags) or 'none'}")


@dataclass(frozen=True)
class BackboneOptions:
    """How timm is to build a network, where that is not its default.

    Attributes:
        output_stride: 8 or 16 for finer maps, where the family can dilate its last stages instead of striding.
        img_size: Side in pixels of the pictures that a transformer's positions are made for; None for its own.
        any_size: Whether it takes pictures of any size, where timm can build it so.
        drop_path_rate: Share of the residual branches that training leaves out, in the last block; from 0 to below 1.
        in_channels: Of the images; timm adapts pre-trained first layers to other than 3: to grey by their sum.
    """

    output_stride: int | None = None
    img_size: int | None = None
    any_size: bool = True
    drop_path_rate: float = 0.0
    in_channels: int = 3

    def __post_init__(self) -> None:
        if self.img_size is not None and not 1 <= self.img_size <= MAX_SIDE:
            raise UsageError(f"img_size is {self.img_size}: it lies between 1 and {MAX_SIDE} pixels")
        if not 0 <= self.drop_path_rate < 1:
            raise UsageError(f"drop_path_rate is {self.drop_path_rate}: it lies between 0 and below 1")

    def given(self) -> dict[str, Any]:
        """Those that are not timm's default, as `timm.create_model` takes them."""
        own = {"output_stride": self.output_stride, "img_size": self.img_size}
        chosen = {name: value for name, value in own.items() if value is not None}
        chosen |= {"in_chans": self.in_channels} if self.in_channels != 3 else {}
        return {**chosen, "drop_path_rate": self.drop_path_rate} if self.drop_path_rate else chosen


def build_backbone(
    name: str, options: BackboneOptions | None = None, pretrained: bool = False, weights: str = ""
) -> nn.Module:
    """A bare timm network, with fresh weights, timm's pre-trained ones, or those of a file.

    Raises:
        UsageError: An unknown name, or an option that the family does not offer.
        CheckpointError: Pre-trained weights that cannot be had here.
    """
    import timm

    options = options or BackboneOptions()
    check_backbone(name)
    given = options.given()
    if given:
        _check_options(name, given)
    given |= {option: value == options.any_size for option, value in _any_size_option(name).items()}
    return create_pretrained(name, given, weights) if pretrained or weights else timm.create_model(name, **given)


_OFFERED = {
    "output_stride": "many convolutional families, ResNet and EfficientNet among them, take 8, 16 or 32",
    "img_size": "transformers whose positions are made for one size take it, ViT and Swin among them",
    "in_chans": "families that begin with a convolution take it",
    "drop_path_rate": "families with residual branches take it",
}


def _check_options(name: str, given: Mapping[str, Any]) -> None:
    """Raises UsageError for an option that a family does not take."""
    import timm

    for option, value in given.items():
        try:
            with without_values():
                timm.create_model(name, **{option: value})
        except (TypeError, AssertionError, NotImplementedError, KeyError, ValueError, RuntimeError, ZeroDivisionError):
            raise UsageError(f"{name} cannot be built with {option}={value}; {_OFFERED[option]}") from None


def _any_size_option(name: str) -> dict[str, Any]:
    """The option by which a family takes pictures of any size: plain ViTs have one, windowed ones another."""
    import timm

    cfg = timm.get_pretrained_cfg(name)
    if not (cfg and cfg.fixed_input_size):
        return {}
    choices: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False})
    for option in choices:
        try:
            with without_values():
                timm.create_model(name, **option)
        except TypeError:  # not an option of this family
            continue
        return option
    return {}


def any_size(backbone: nn.Module) -> bool:
    """Whether a backbone takes pictures of other sizes than the one it was built for."""
    if getattr(backbone, "dynamic_img_size", False):
        return True
    return not pretrained_cfg(backbone).get("fixed_input_size", False)


def likely_options(backbone: nn.Module) -> Iterator[BackboneOptions]:
    """The options by which timm may have built a network, as far as the network tells: the likeliest first."""
    size, usual, channels = (
        own_size(backbone),
        tuple(pretrained_cfg(backbone)["input_size"][1:]),
        own_channels(backbone),
    )
    rates = [float(m.drop_prob) for m in backbone.modules() if type(m).__name__ == "DropPath"]  # type: ignore[arg-type]
    for stride in (None, 16, 8):
        yield BackboneOptions(
            output_stride=stride,
            img_size=None if size == usual else size[-1],
            any_size=any_size(backbone),
            drop_path_rate=round(max(rates, default=0.0), 6),
            in_channels=channels,
        )


def own_size(backbone: nn.Module) -> tuple[int, int]:
    """Height and width in pixels of the pictures that a backbone was built for."""
    made_for = getattr(getattr(backbone, "patch_embed", None), "img_size", None)
    height, width = made_for or pretrained_cfg(backbone)["input_size"][1:]
    return int(height), int(width)


def own_channels(backbone: nn.Module) -> int:
    """Channels of the images that a backbone takes: those of its first convolution, as timm names it."""
    first = pretrained_cfg(backbone).get("first_conv") or ""
    convs = {name: module for name, module in backbone.named_modules() if isinstance(module, nn.Conv2d)}
    conv = convs.get(first if isinstance(first, str) else first[0]) or next(iter(convs.values()), None)
    if conv is None or conv.in_channels == 3:
        return 3
    usual = _usual_first_conv(backbone, next(name for name, module in convs.items() if module is conv))
    return conv.in_channels * 3 // usual  # of some, the first convolution sees patches of the picture side by side


def own_statistics(backbone: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of the channels that a backbone's weights were trained with, by timm's configuration of it."""
    cfg, channels = pretrained_cfg(backbone), own_channels(backbone)
    return _of_channels(cfg["mean"], channels), _of_channels(cfg["std"], channels)


def _of_channels(statistic: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """RGB's mean or deviation for other channels, as timm adapts first layers: grey is their mean, else they repeat."""
    if channels == 1:
        return (round(sum(statistic) / len(statistic), 6),)
    return tuple(statistic[channel % len(statistic)] for channel in range(channels))


def _usual_first_conv(backbone: nn.Module, name: str) -> int:
    """Channels that a backbone's first convolution sees where timm builds it for RGB."""
    import timm

    architecture = pretrained_cfg(backbone).get("architecture")
    if not architecture or not timm.is_model(architecture):
        return 3
    with without_values():
        twin = timm.create_model(architecture)
    conv = dict(twin.named_modules()).get(name)
    return conv.in_channels if isinstance(conv, nn.Conv2d) else 3


def smallest_size(backbone: nn.Module, stride: int) -> int:
    """The least height and width in pixels that a network with this last stride takes."""
    return max(stride, _SMALLEST.get(type(backbone).__name__, 1))


def pretrained_cfg(backbone: nn.Module) -> Mapping[str, Any]:
    """timm's configuration of a network: input size, mean, deviation, where its weights are."""
    cfg: Mapping[str, Any] | None = getattr(backbone, "pretrained_cfg", None)
    return cfg or {}


def taps_of(backbone: nn.Module, levels: int) -> tuple[Tap, ...]:
    """The last `levels` depths at which a network gives features.

    A hierarchical network is tapped at the end of each of its last stages; a plain ViT, whose blocks all have one
    stride, at blocks a quarter of its depth apart, the last one included (12 blocks: 3, 6, 9, 12 under timm's names
    blocks.2, .5, .8, .11), as its users do with DINOv2.

    Raises:
        UsageError: A network without features at several depths, or more levels than it has.
    """
    name = type(backbone).__name__
    infos = _feature_infos(backbone)
    if not infos or not hasattr(backbone, "forward_intermediates"):
        raise UsageError(
            f"{name} gives no features on the way to its classifier; attach needs a timm network with feature_info and "
            f"forward_intermediates, which newer versions of timm have for more families (this is {version('timm')})"
        )
    plain = is_plain(backbone)
    available = min(MAX_LEVELS, len(infos))
    if not 1 <= levels <= available:
        raise UsageError(f"levels is {levels}: {name} gives features at 1 to {available} depths")
    step = len(infos) // MAX_LEVELS if plain and len(infos) > MAX_LEVELS else 1
    chosen = range(len(infos) - 1 - step * (levels - 1), len(infos), step)
    channels = "num_chs_norm" if plain and "num_chs_norm" in infos[-1] else "num_chs"  # some final norms also project
    # a module's key cannot hold a dot
    taps = tuple(
        Tap(i, infos[i]["module"].replace(".", "_"), infos[i][channels], infos[i]["reduction"]) for i in chosen
    )
    distinct = len({tap.name for tap in taps})
    if distinct < levels:
        raise UsageError(
            f"{name} gives its features side by side, not one after the other; take levels={distinct} at most"
        )
    return taps


def final_tap(backbone: nn.Module, tap: Tap) -> Tap:
    """The last stage's tap, moved behind the layer that widens it for the network's own classifier.

    Raises:
        UsageError: A network whose classifier averages its last stage itself.
    """
    start = next(backbone.parameters())
    size = (2 * smallest_size(backbone, tap.stride),) * 2 if any_size(backbone) else own_size(backbone)
    with torch.no_grad():
        final = backbone.eval().forward_features(start.new_zeros(1, own_channels(backbone), *size))  # type: ignore[operator]
    channels = int(final.shape[1])
    tokens = final.ndim != 4 or channels == final.shape[2]  # also on a grid, but with the channels last
    if tokens or channels == tap.channels:
        raise UsageError(
            f"{type(backbone).__name__} has no layer of its own between its last stage and its classifier that keeps "
            "the grid; take deepest='stage'"
        )
    return replace(tap, name="final", channels=channels)


def is_plain(backbone: nn.Module) -> bool:
    """Whether all of a network's features have one stride: a plain ViT, an MLP mixer."""
    return len({info["reduction"] for info in _feature_infos(backbone)}) == 1


def _feature_infos(backbone: nn.Module) -> Sequence[Mapping[str, Any]]:
    infos: Any = getattr(backbone, "feature_info", None) or ()
    return list(getattr(infos, "info", infos))
