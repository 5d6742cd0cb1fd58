"""torchvision's classifiers."""

import warnings
from pathlib import Path
from typing import Any

from torch import nn

from payattention.errors import UsageError
from payattention.models.fetching import fetched
from payattention.models.state_dict import classes_of, fill, tensors_in
from payattention.models.wrapped import Wrapped, wrap
from payattention.system.names import unknown
from payattention.system.registered import registered


def torchvision_classifier(name: str, pretrained: bool = False, weights: Path | None = None) -> Wrapped:
    """A network of torchvision; its best pre-trained weights say themselves how pixels are normalised.

    Raises:
        UsageError: An unknown name, or no pre-trained weights.
        CheckpointError: Weights that cannot be had here, or are another network's.
    """
    check_torchvision(name)

    from torchvision import models

    if weights is not None:
        tensors = tensors_in(weights)
        network = _built(name, num_classes=classes_of(tensors, lambda count: _built(name, num_classes=count), weights))
        fill(network, tensors, weights, f"torchvision's {name}")
        return wrap(network)
    if not pretrained:
        return wrap(_built(name))
    best: Any = getattr(models.get_model_weights(name), "DEFAULT", None)
    if best is None:
        raise UsageError(f"torchvision has no pre-trained weights for {name!r}")
    network = fetched(f"torchvision:{name}", lambda: _built(name, weights=best), "name a file of them (--weights)")
    seen = best.transforms()
    return wrap(network, mean=seen.mean, std=seen.std, image_size=seen.crop_size[0])


def check_torchvision(name: str) -> None:
    """Raises UsageError unless torchvision has a classifier of this name; torchvision is not imported."""
    if name not in registered("torchvision"):
        raise unknown("torchvision network", name, registered("torchvision"), "torchvision.models names them all")


def _built(name: str, **options: Any) -> nn.Module:
    from torchvision import models

    with warnings.catch_warnings():  # of how Inception's and GoogLeNet's fresh weights will once be drawn
        warnings.simplefilter("ignore", FutureWarning)
        return models.get_model(name, **options)
