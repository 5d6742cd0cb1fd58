"""`attach`: the paper's attention on any timm backbone that gives features on the way to its classifier."""

import inspect
from functools import partial

import torch
from torch import nn

from payattention.attention import MultiLevelAttention
from payattention.errors import UsageError
from payattention.models.attentive import AttentiveClassifier
from payattention.models.classifier import ModelConfig
from payattention.models.heads import create_head
from payattention.models.preprocessing import GivenMeanStd
from payattention.models.registry import Entry, check_num_classes, check_value, register_family
from payattention.models.timm_backbones.backbone import any_size, build_backbone, check_backbone, pretrained_cfg
from payattention.models.timm_backbones.pretrained import create_pretrained
from payattention.models.timm_backbones.trunk import TimmTrunk

PREFIX = "timm:"

_LACKS = {
    "layout": "timm's backbone has its own pools",
    "taps": "timm's backbone says where its features leave it",
    "branch_grad": "the gradients meet inside timm's backbone; take one of the VGG or ResNet networks here",
    "init": "timm's backbone starts as timm does",
    "preprocessing": "timm's configuration says how its backbone's pixels are normalised",
}
"""Why an attached backbone has not all options of the networks here."""


def attach(
    backbone: str | nn.Module,
    num_classes: int,
    *,
    levels: int = 2,
    compatibility: str = "pc",
    normaliser: str = "softmax",
    projection: str = "down",
    head: str = "concat",
    head_norm: bool = True,
    dropout: float = 1.0,
    pretrained: bool = False,
    freeze: bool = False,
    deepest: str = "stage",
    output_stride: int | None = None,
) -> AttentiveClassifier:
    """A classifier of `num_classes` classes that attends to a timm backbone's features.

    Its pixels are normalised as timm's configuration of the backbone says. A name gives a model that `pa.load` knows
    how to build again; so does a network that timm builds the same way from its name.

    Args:
        backbone: A timm name (`resnet18`, `vit_small_patch14_dinov2.lvd142m`), or a timm network, which becomes part
            of the model and loses its classifier.
        num_classes: Number of classes, at least 2.
        levels: How many depths to attend to, 1 to 4, the deepest ones.
        compatibility: A name of `payattention.attention.COMPATIBILITIES`.
        normaliser: A name of `payattention.attention.NORMALISERS`.
        projection: A name of `payattention.attention.PROJECTIONS`.
        head: A name of `payattention.models.heads.HEADS`.
        head_norm: BN-ReLU-Dropout on each descriptor before the classifier.
        dropout: Factor on the dropout rates, which are 0.5; 0 switches dropout off.
        pretrained: Whether to start from pre-trained weights (see `payattention.models.timm_backbones.pretrained`).
        freeze: Whether the backbone's weights stay as they are.
        deepest: A name of `payattention.models.timm_backbones.trunk.DEEPEST`: "stage", or "final" for the layer that a
            backbone's own classifier averages, where it has one behind its last stage.
        output_stride: 8 or 16 for finer maps, where the family can dilate its last stages instead of striding.

    Raises:
        UsageError: An unknown name, or an impossible combination.
        CheckpointError: Pre-trained weights that cannot be had here.
    """
    check_num_classes(num_classes)
    options = {
        "levels": levels,
        "compatibility": compatibility,
        "normaliser": normaliser,
        "projection": projection,
        "head": head,
        "head_norm": head_norm,
        "dropout": dropout,
        "pretrained": pretrained,
        "freeze": freeze,
        "deepest": deepest,
        "output_stride": output_stride,
    }
    defaults = inspect.signature(attach).parameters
    for option, value in options.items():
        check_value(option, value, defaults[option].default)
    if isinstance(backbone, str):
        name = PREFIX + backbone.removeprefix(PREFIX)
        network = build_backbone(backbone.removeprefix(PREFIX), output_stride, pretrained)
    elif pretrained or output_stride is not None:
        wrong = "pretrained" if pretrained else "output_stride"
        raise UsageError(
            f"{wrong} belongs to the making of a backbone: attach by name, or give it to timm.create_model"
        )
    else:
        name, network = _name_of(backbone), backbone

    trunk = TimmTrunk(network, levels, freeze, deepest)
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
    model.config = ModelConfig(name, num_classes, 1.0, options)
    if cfg := pretrained_cfg(network):
        model.preprocessing = GivenMeanStd(cfg["mean"], cfg["std"])
        model.image_size = int(cfg["input_size"][-1])
    return model


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


def _name_of(network: nn.Module) -> str:
    """`timm:NAME` if timm builds the same network from that name, else `module:CLASS`, which nothing can build."""
    cfg = pretrained_cfg(network)
    unnamed = f"{ModelConfig.OBJECT}{type(network).__name__}"
    if not cfg.get("architecture") or not hasattr(network, "reset_classifier"):
        return unnamed
    name = ".".join(filter(None, (cfg["architecture"], cfg.get("tag"))))
    with torch.device("meta"):
        twin = build_backbone(name)
    for one in (network, twin):
        one.reset_classifier(0)  # type: ignore[operator]
    same = repr(network) == repr(twin) and any_size(network) == any_size(twin)
    return PREFIX + name if same else unnamed


def _entry(name: str) -> Entry:
    """`create_model("timm:NAME", ...)` is `attach("NAME", ...)`."""
    backbone = name.removeprefix(PREFIX)
    check_backbone(backbone)
    return Entry(name, partial(attach, backbone), f"attention on timm's {backbone}", _LACKS, scalable=False)


register_family(PREFIX, _entry)
