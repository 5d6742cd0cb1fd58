"""A picture as a model sees it: whole, in its own proportions, its shorter side scaled to a size.

A model that takes squares of one size only (`Classifier.sizes`) sees it squeezed to that.
"""

import operator

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from payattention.data.tensors import as_images
from payattention.errors import UsageError
from payattention.models import Classifier
from payattention.pictures.channels import check_channels, pixels_of, with_channels

MAX_SIZE = 2048
"""A picture is looked at with a shorter side of at most so many pixels."""
_LONGEST = 4
"""A picture longer than so many times its shorter side is squeezed, to bound the cost."""


def check_can_explain(model: Classifier, size: int | None = None) -> None:
    """Raises UsageError for a model that has neither maps nor a method that makes some, or a wrong size."""
    check_channels(model.in_channels)
    if model.posthoc_method is None:
        model.check_has_maps()
    if size is not None:
        check_size(model, size)


def check_size(model: Classifier, size: int) -> None:
    """Raises UsageError for a size in pixels that a model cannot look at."""
    least, greatest = model.sizes
    greatest = min(MAX_SIZE, greatest or MAX_SIZE)
    if not least <= size <= greatest:
        takes = f"{least} to {greatest}" if greatest > least else f"{least} only"
        raise UsageError(f"size is {size} pixels: {model.name} takes {takes}")


def chosen_size(model: Classifier, size: object) -> int:
    """The size that is asked for, or that of the model's training.

    Raises:
        UsageError: Not a whole number, or one that the model cannot look at; or a model of channels that no picture
            has.
    """
    check_channels(model.in_channels)
    if size is None:
        return model.image_size
    try:
        whole = operator.index(size)  # type: ignore[arg-type]
    except TypeError:
        raise UsageError(f"size is {size!r}: it is a whole number of pixels") from None
    check_size(model, whole)
    return whole


def as_input(model: Classifier, picture: Image.Image, size: int | None = None) -> Float[Tensor, "1 channels h w"]:
    """A picture as a model sees it at a size in pixels, by default its own; values in [0, 1].

    Raises:
        UsageError: A number of channels that no picture has.
        DataError: A picture without four bands for a model of four channels.
    """
    seen = seen_pixels(model, picture, model.image_size if size is None else size)
    return as_images(seen[None], torch.device("cpu"))


def seen_pixels(model: Classifier, picture: Image.Image, size: int) -> UInt8[np.ndarray, "h w channels"]:
    """The same, as bytes."""
    picture = with_channels(picture, model.in_channels)
    seen = seen_size(model, picture, size)
    scaled = picture if picture.size == seen else picture.resize(seen, Image.Resampling.BICUBIC)
    return pixels_of(scaled).copy()


def seen_size(model: Classifier, picture: Image.Image, size: int) -> tuple[int, int]:
    """Width and height of a picture as a model sees it."""
    least, greatest = model.sizes
    if least == greatest:
        return size, size
    scale = size / min(picture.size)
    width, height = (min(max(size, round(side * scale)), _LONGEST * size) for side in picture.size)
    return width, height
