"""`attach`: the paper's attention on any timm backbone that gives features on the way to its classifier."""

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import nn

from payattention.errors import UsageError
from payattention.models.attentive import AttentionKeywords, AttentionOptions, AttentiveClassifier
from payattention.models.classifier import ModelConfig
from payattention.models.preprocessing import GivenMeanStd
from payattention.models.registry import Entry, check_num_classes, check_value, register_family
from payattention.models.timm_backbones.backbone import (
    BackboneOptions,
    any_size,
    build_backbone,
    check_backbone,
    likely_options,
    own_size,
    own_statistics,
    pretrained_cfg,
)
from payattention.models.timm_backbones.pretrained import create_pretrained
from payattention.models.timm_backbones.trunk import TimmTrunk
from payattention.models.without_values import without_values
from payattention.system.files import at_home
from payattention.system.names import check_known

PREFIX = "timm:"

_LACKS = {
    "layout": "timm's backbone has its own pools",
    "taps": "timm's backbone says where its features leave it",
    "branch_grad": "the gradients meet inside timm's backbone; take one of the VGG or ResNet networks here",
    "init": "timm's backbone starts as timm does",
    "preprocessing": "timm's configuration says how its backbone's pixels are normalised",
}
"""Why an attached backbone has not all options of the networks here."""


class AttachKeywords(AttentionKeywords, total=False):
    """The keywords of `attach` that build the backbone, beside those that say how it is attended to."""

    output_stride: int | None
    img_size: int | None
    any_size: bool
    drop_path_rate: float
    in_channels: int


def attach(
    backbone: str | nn.Module,
    num_classes: int,
    *,
    levels: int = 2,
    pretrained: bool = False,
    weights: str | os.PathLike[str] = "",
    freeze: bool = False,
    deepest: str = "stage",
    **options: Unpack[AttachKeywords],
) -> AttentiveClassifier:
    """A classifier of `num_classes` classes that attends to a timm backbone's features.

    Its pixels are normalised as timm's configuration of the backbone says. A name gives a model that `pa.load` knows
    how to build again; so does a network that timm builds the same way from its name.

    Args:
        backbone: A timm name (`resnet18`, `vit_small_patch14_dinov2.lvd142m`), or a timm network, which becomes part
            of the model and loses its classifier.
        num_classes: Number of classes, at least 2.
        levels: How many depths to attend to, 1 to 4, the deepest ones.
        pretrained: Whether to start from pre-trained weights (see `payattention.models.timm_backbones.pretrained`).
        weights: A file of the backbone's weights to start from instead, by timm's names: safetensors, or a state dict
            that torch.save wrote.
        freeze: Whether the backbone's weights stay as they are.
        deepest: A name of `payattention.models.timm_backbones.trunk.DEEPEST`: "stage", or "final" for the layer that a
            backbone's own classifier averages, where it has one behind its last stage.
        **options: How timm builds the backbone, `output_stride=None`, `img_size=None`, `any_size=True`,
            `drop_path_rate=0.0` and `in_channels=3`, as
            `payattention.models.timm_backbones.backbone.BackboneOptions` explains them; and `compatibility="pc"`,
            `normaliser="softmax"`, `prior="none"`, `queries=1`, `scaled=False`, `projection="down"`,
            `head="concat"`, `head_norm=True`, `dropout=1.0` and `combination="product"`, as
            `payattention.models.attentive.AttentionOptions` does.

    Raises:
        UsageError: An unknown name, or an impossible combination.
        CheckpointError: Pre-trained weights that cannot be had here.
    """
    check_num_classes(num_classes)
    file: Any = str(at_home(Path(weights))) if weights and isinstance(weights, str | os.PathLike) else weights
    own = {"levels": levels, "pretrained": pretrained, "weights": file, "freeze": freeze, "deepest": deepest}
    _check_options({**own, **options})
    making = BackboneOptions(**_of(BackboneOptions, options))
    if isinstance(backbone, str):
        name = PREFIX + backbone.removeprefix(PREFIX)
        network = build_backbone(backbone.removeprefix(PREFIX), making, pretrained, file)
    else:
        _check_given({"pretrained": pretrained, "weights": file, **asdict(making)})
        network = backbone
        name, making = _name_of(backbone)

    chosen = AttentionOptions(**_of(AttentionOptions, options))
    model = chosen.attending(TimmTrunk(network, levels, freeze, deepest), num_classes)
    shared = {option: value for option, value in asdict(chosen).items() if option not in _LACKS}
    model.config = ModelConfig(name, num_classes, 1.0, {**own, **asdict(making), **shared})
    if pretrained_cfg(network):
        model.preprocessing = GivenMeanStd(*own_statistics(network))
        model.image_size = own_size(network)[-1]
    return model


def _of(kind: type, options: Mapping[str, object]) -> dict[str, Any]:
    """Those of the options that a class of options has."""
    names = {field.name for field in fields(kind)}
    return {option: value for option, value in options.items() if option in names}


def _check_given(making: Mapping[str, object]) -> None:
    """Raises UsageError for an option of a backbone's making, where it is made already."""
    defaults = _entry_of(attach, "attach").options
    for option, value in making.items():
        if value != defaults[option]:
            raise UsageError(
                f"{option} belongs to the making of a backbone: attach by name, or give it to timm.create_model"
            )


def _check_options(options: Mapping[str, object]) -> None:
    """Raises UsageError for an option that `attach` has not, or a value of another kind than its default's."""
    defaults = _entry_of(attach, "attach").options
    for option, value in options.items():
        if option in _LACKS:
            raise UsageError(f"attach has no option {option!r}: {_LACKS[option]}")
        check_known("option of attach", defaults, option)
        check_value(option, value, defaults[option])


def native_size(name: str) -> int | None:
    """The image size in pixels that the backbone of a `timm:NAME` was made for; None for another model's name."""
    if not name.startswith(PREFIX):
        return None
    import timm

    cfg = timm.get_pretrained_cfg(name.removeprefix(PREFIX))
    return int(cfg.input_size[-1]) if cfg else None


def fetch_pretrained(name: str) -> None:
    """Fetches the pre-trained weights of a `timm:NAME`, unless they are on this machine already.

    Raises:
        UsageError: timm has none for this network.
        CheckpointError: They cannot be had here.
    """
    create_pretrained(name.removeprefix(PREFIX), {})


def _name_of(network: nn.Module) -> tuple[str, BackboneOptions]:
    """`timm:NAME` and options by which timm builds the same network, else `module:CLASS`, which nothing can build."""
    cfg = pretrained_cfg(network)
    unnamed = f"{ModelConfig.OBJECT}{type(network).__name__}"
    if not cfg.get("architecture") or not hasattr(network, "reset_classifier"):
        return unnamed, BackboneOptions()
    name = ".".join(filter(None, (cfg["architecture"], cfg.get("tag"))))
    network.reset_classifier(0)  # type: ignore[operator]
    for options in likely_options(network):
        if _builds(name, options, network):
            return PREFIX + name, options
    return unnamed, BackboneOptions()


def _builds(name: str, options: BackboneOptions, network: nn.Module) -> bool:
    """Whether timm builds the same network: its layers, the shapes of its tensors, and the pictures that it takes."""
    try:
        with without_values():
            twin = build_backbone(name, options)
    except UsageError:
        return False
    twin.reset_classifier(0)  # type: ignore[operator]
    return repr(network) == repr(twin) and any_size(network) == any_size(twin) and _shapes(network) == _shapes(twin)


def _shapes(network: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in [*network.named_parameters(), *network.named_buffers()]}


def _entry(name: str) -> Entry:
    """`create_model("timm:NAME", ...)` is `attach("NAME", ...)`."""
    backbone = name.removeprefix(PREFIX)
    check_backbone(backbone)
    return _entry_of(partial(attach, backbone), name)


def _entry_of(build: Callable[..., AttentiveClassifier], name: str) -> Entry:
    return Entry(
        name,
        build,
        f"attention on timm's {name.removeprefix(PREFIX)}",
        _LACKS,
        scalable=False,
        keywords=asdict(BackboneOptions()),
    )


register_family(PREFIX, _entry)
