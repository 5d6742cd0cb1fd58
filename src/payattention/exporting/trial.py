"""The proof of a file: on random pictures and on real ones it says what the model says."""

import copy
from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from payattention.errors import PayAttentionError, UsageError
from payattention.exporting.outputs import LOGITS, Outputs
from payattention.exporting.sides import Sides
from payattention.models import Classifier
from payattention.pictures.channels import pixels_of, with_channels
from payattention.pictures.reading import to_size

TOLERANCE = 1e-4
"""The greatest difference that an output may have, as a share of its greatest value (of logits: of 1, if that is more).
"""
_ROUNDINGS, _MOST = 4, 1e-2
"""Where a deep network rounds more than that itself: so many times its own float32's distance from float64, but no more
than that share."""

Run = Callable[[Tensor], dict[str, Tensor]]


class DifferenceError(PayAttentionError):
    """A file says something else than its model."""


def trials(model: Classifier, sides: Sides, pictures: Sequence[Image.Image]) -> Iterator[Float[Tensor, "n c h w"]]:
    """Batches that a file is tried with: one random picture and several, other sizes if it takes them, real pictures.

    Args:
        model: Whose channels and crop mode they have.
        sides: What the file takes.
        pictures: The real ones.
    """
    random, channels = torch.Generator().manual_seed(0), model.in_channels
    for count in (1, 3):
        yield torch.rand(count, channels, sides.height, sides.width, generator=random)
    if sides.step is not None:
        larger = sides.height + sides.step, sides.width + 3 * sides.step
        for height, width in (larger, (2 * larger[0], larger[1]), (sides.least, sides.least)):
            yield torch.rand(2, channels, height, width, generator=random)
    for picture in pictures:
        yield as_seen(model, picture, sides)


def as_seen(model: Classifier, picture: Image.Image, sides: Sides) -> Float[Tensor, "1 c h w"]:
    """A real picture in 0 ... 1: whole, in its own proportions, where any size is taken, else made a square."""
    picture = with_channels(picture, model.in_channels)
    if sides.step is None and sides.height == sides.width:
        pixels = to_size(picture, sides.height, model.crop_mode)
    elif sides.step is None:
        pixels = pixels_of(picture.resize((sides.width, sides.height), Image.Resampling.BICUBIC))
    else:
        scale = sides.height / min(picture.size)
        width, height = (sides.fitting(side * scale) for side in picture.size)
        pixels = pixels_of(picture.resize((width, height), Image.Resampling.BICUBIC))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


@torch.no_grad()
def greatest_difference(outputs: Outputs, run: Run, batches: Iterator[Tensor]) -> float:
    """The greatest difference between what a model and its file say, over all outputs, in shares as `TOLERANCE`.

    Raises:
        DifferenceError: It is more than that, and more than the model's own rounding explains; or the file cannot be
            run.
    """
    greatest = 0.0
    for images in batches:
        truth = outputs(images)
        try:
            found = run(images)
        except Exception as error:  # of whatever runs it
            raise DifferenceError(f"the file does not run on pictures of {_size(images)}: {error}") from None
        for name, right in truth.items():
            share = difference(name, right, found[name])
            allowed = TOLERANCE
            if not share <= allowed:
                allowed = max(TOLERANCE, min(_MOST, _ROUNDINGS * rounding(outputs, images, name)))
            if not share <= allowed:
                raise DifferenceError(
                    f"on pictures of {_size(images)} {name} of the file differs from the model's by a share of "
                    f"{share:.1e}, and {allowed:.0e} is allowed"
                )
            greatest = max(greatest, share)
    return greatest


@torch.no_grad()
def check_repeatable(outputs: Outputs, side: int) -> None:
    """Raises UsageError for a model that answers otherwise when it is asked once more: it draws at random."""
    images = torch.rand(1, outputs.model.in_channels, side, side, generator=torch.Generator().manual_seed(0))
    first, again = outputs(images), outputs(images)
    if any(difference(name, first[name], again[name]) > TOLERANCE for name in first):
        raise UsageError(
            f"{outputs.model.name} answers the same picture in two ways: it draws at random, which no file can"
        )


@torch.no_grad()
def rounding(outputs: Outputs, images: Float[Tensor, "n c h w"], name: str) -> float:
    """How far an output of a model in float32 is from that in float64, as a share as `TOLERANCE`."""
    exact = copy.deepcopy(outputs).double()(images.double())[name]
    return difference(name, exact.float(), outputs(images)[name])


def difference(name: str, right: Tensor, found: Tensor) -> float:
    """By how much an output differs, as a share of its greatest value; infinite where its shape does."""
    if right.shape != found.shape:
        return float("inf")
    greatest = right.abs().max().clamp_min(1.0 if name == LOGITS else torch.finfo(right.dtype).tiny)
    return float((found - right).abs().max() / greatest)


def _size(images: Tensor) -> str:
    return f"{images.shape[3]}x{images.shape[2]}"
