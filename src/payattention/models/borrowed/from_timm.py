"""timm's networks with their own classifiers; for attention on one without, see `payattention.attach`."""

from functools import partial
from pathlib import Path

from payattention.errors import UsageError
from payattention.models.state_dict import classes_of, fill, tensors_in
from payattention.models.timm_backbones.backbone import check_backbone
from payattention.models.timm_backbones.pretrained import create_pretrained
from payattention.models.wrapped import Wrapped, wrap


def timm_classifier(name: str, pretrained: bool = False, weights: Path | None = None) -> Wrapped:
    """A network of timm.

    Raises:
        UsageError: An unknown name, no pre-trained weights, or a network without a classifier.
        CheckpointError: Weights that cannot be had here, or are another network's.
    """
    check_backbone(name)

    import timm

    if weights is not None:
        tensors, build = tensors_in(weights), partial(timm.create_model, name)
        network = timm.create_model(name, num_classes=classes_of(tensors, lambda n: build(num_classes=n), weights))
        fill(network, tensors, weights, f"timm's {name}")
        return wrap(network)
    cfg = timm.get_pretrained_cfg(name)
    if cfg is not None and cfg.num_classes == 0:  # said before anything is fetched
        raise UsageError(
            f"timm's {name} has no classifier of its own: payattention train --model timm:{name} puts one on its "
            "features"
        )
    return wrap(create_pretrained(name, {}) if pretrained else timm.create_model(name))
