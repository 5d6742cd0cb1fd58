"""timm backbones: found by name, built bare, and asked for features at several depths.

Everything here rests on timm's own interface: `create_model`, `feature_info`, `forward_intermediates`,
`prune_intermediate_layers` and the pretrained configuration. timm is imported when a backbone is first wanted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import torch
from torch import nn

from payattention.errors import UsageError
from payattention.models.timm_backbones.pretrained import create_pretrained

MAX_LEVELS = 4
_SMALLEST = {"InceptionV3": 75, "InceptionV4": 75, "InceptionResnetV2": 75}
"""Pixels below which convolutions without padding leave nothing, where that is more than the last stride."""


@dataclass(frozen=True)
class Tap:
    """One place where features leave a backbone: its index in timm's list, name, channels and stride in pixels."""

    index: int
    name: str
    channels: int
    stride: int


def check_backbone(name: str) -> None:
    """Raises UsageError unless timm knows an architecture of this name, or name and tag (`resnet18.a1_in1k`)."""
    import timm

    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        near = get_close_matches(architecture, timm.list_models(), n=3, cutoff=0.6)
        there = f"did you mean {' or '.join(map(repr, near))}?" if near else "timm.list_models() names them all"
        raise UsageError(f"unknown timm backbone {name!r}; {there}")
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise UsageError(f"{architecture!r} has no weights tagged {tag!r}; its tags: {', '.join(tags) or 'none'}")


def build_backbone(name: str, output_stride: int | None = None, pretrained: bool = False) -> nn.Module:
    """A bare timm network, for pictures of any size if timm can build it so.

    Raises:
        UsageError: An unknown name, or an output stride that the family does not offer.
        CheckpointError: Pre-trained weights that cannot be had here.
    """
    import timm

    check_backbone(name)
    options: dict[str, Any] = _any_size_option(name)
    if output_stride is not None:
        options["output_stride"] = output_stride
        _check_stride(name, options)
    return create_pretrained(name, options) if pretrained else timm.create_model(name, **options)


def _check_stride(name: str, options: Mapping[str, Any]) -> None:
    import timm

    try:
        with torch.device("meta"):
            timm.create_model(name, **options)
    except (TypeError, AssertionError, NotImplementedError, KeyError, ValueError):
        raise UsageError(
            f"{name} cannot be built with output_stride={options['output_stride']}; "
            "many convolutional families, ResNet and EfficientNet among them, take 8, 16 or 32"
        ) from None


def _any_size_option(name: str) -> dict[str, Any]:
    """The option by which a family takes pictures of any size: plain ViTs have one, windowed ones another."""
    import timm

    cfg = timm.get_pretrained_cfg(name)
    if not (cfg and cfg.fixed_input_size):
        return {}
    choices: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False})
    for option in choices:
        try:
            with torch.device("meta"):
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
            f"{name} gives no features on the way to its classifier; attach needs a timm network with "
            "feature_info and forward_intermediates"
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
    cfg, start = pretrained_cfg(backbone), next(backbone.parameters())
    size = (2 * smallest_size(backbone, tap.stride),) * 2 if any_size(backbone) else cfg["input_size"][1:]
    with torch.no_grad():
        final = backbone.eval().forward_features(start.new_zeros(1, 3, *size))  # type: ignore[operator]
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
