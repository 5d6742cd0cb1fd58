"""Decoding many pictures: in parallel, in bounded memory, without the damaged ones."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from payattention.data.samples import Contents, Sample
from payattention.errors import DataError, no_such_label
from payattention.pictures.channels import picture_from, with_channels
from payattention.pictures.reading import Decoded, decode_picture, mask_to_size, quiet, read_mask, to_size
from payattention.system.machine import chosen_threads
from payattention.system.progress import Meter
from payattention.system.text import shown
from payattention.system.workers import in_order

_BLOCK = 32  # pictures that a thread decodes at a time
_INSIDE = 0.9  # share of a box that must lie in its picture; what reaches out is cut off


@dataclass(frozen=True)
class Block:
    """Some pictures decoded.

    Attributes:
        images: (k, size, size, channels).
        labels: (k,).
        masks: (k, size, size); None where there are none.
        names: What each of the k is called.
        problems: What could not be read, a line each.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    masks: NDArray[np.bool_] | None
    names: list[str]
    problems: list[str]


@dataclass(frozen=True)
class Form:
    """What the pictures of a split become.

    Attributes:
        size: Side of the square images in pixels; None for the shorter side of the first one that can be read.
        crop_mode: How pictures become squares: a name of `CROP_MODES`.
        channels: 3 for RGB, 1 for grey, 4 for four bands.
    """

    size: int | None
    crop_mode: str = "center"
    channels: int = 3


def blocks(contents: Contents, form: Form, console: Console | None = None) -> Generator[Block]:
    """Decodes a split block by block, in order; only a few blocks are in memory at a time.

    Args:
        contents: The split.
        form: What its pictures become.
        console: Where a progress bar is shown.
    """
    with quiet, Meter("decoding", contents.count, console, unit="pictures") as meter:
        samples = iter(contents.samples)
        if form.size is None:
            size, samples = _own_size(samples)
            form = replace(form, size=size)
        chunks = iter(lambda: list(islice(samples, _BLOCK)), [])
        decode = partial(_counted, contents=contents, form=form)
        with closing(in_order(decode, chunks, chosen_threads())) as decoded:
            for count, block in decoded:
                yield block
                meter.advance(count)


def _counted(samples: Sequence[Sample], contents: Contents, form: Form) -> tuple[int, Block]:
    return len(samples), _block(samples, contents, form)


def with_mask(sample: Sample, channels: int = 3) -> tuple[Image.Image, NDArray[np.bool_]]:
    """One picture, upright, of so many channels, and its object's mask, bool (H, W), at their own size.

    Call it under `quiet`.

    Raises:
        DataError: A picture or mask that is missing, damaged, or not of the other's size.
    """
    decoded = _picture(sample, None, channels)
    return decoded.picture, _mask(sample, decoded.size)


def decoded(sample: Sample, form: Form) -> NDArray[np.uint8]:
    """One picture in a form whose size is set, (size, size, channels); call it under `quiet`.

    Raises:
        DataError: A picture that is missing or damaged.
    """
    assert form.size is not None
    without_mask = sample if sample.box is not None and sample.crop else replace(sample, mask=None, box=None)
    return _decode(without_mask, form.size, form)[0]


def _own_size(samples: Iterator[Sample]) -> tuple[int, Iterator[Sample]]:
    seen: list[Sample] = []
    for sample in samples:
        seen.append(sample)
        try:
            return min(_picture(sample, None).size), chain(seen, samples)
        except DataError:
            continue
    return 1, iter(seen)  # none can be read: each will say why


def _block(samples: Iterable[Sample], contents: Contents, form: Form) -> Block:
    assert form.size is not None  # `blocks`
    size = form.size
    images, labels, masks, names, problems = [], [], [], [], []
    for sample in samples:
        try:
            if not 0 <= sample.label < len(contents.classes):
                raise no_such_label(sample.name, sample.label, len(contents.classes))
            image, mask = _decode(sample, size, form)
        except DataError as error:
            problems.append(str(error))
            continue
        images.append(image)
        labels.append(sample.label)
        masks.append(mask)
        names.append(sample.name)
    shape = (len(images), size, size)
    return Block(
        np.stack(images) if images else np.empty((*shape, form.channels), np.uint8),
        np.array(labels, np.int64),
        (np.stack(masks) if masks else np.empty(shape, np.bool_)) if contents.masks else None,
        names,
        problems,
    )


def _decode(sample: Sample, size: int, form: Form) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Image and mask of one sample, at a size."""
    decoded, crop_mode = _picture(sample, size, form.channels), form.crop_mode
    if sample.box is not None and sample.crop:
        inside = decoded.picture.crop(_within(sample.box, decoded.size, sample.name))
        return to_size(inside, size, "squash"), np.ones((size, size), np.bool_)
    if sample.box is None and sample.mask is None:
        return to_size(decoded.picture, size, crop_mode), np.zeros((size, size), np.bool_)
    mask = _mask(sample, decoded.size)
    return to_size(decoded.picture, size, crop_mode), mask_to_size(mask, size, crop_mode)


def _mask(sample: Sample, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The object's mask of a picture of that width and height."""
    if sample.box is not None:
        return _filled(_within(sample.box, size, sample.name), size)
    if sample.mask is None:
        raise DataError(f"{sample.name}: it has no mask")
    mask = read_mask(sample.mask, sample.foreground) if isinstance(sample.mask, Path) else sample.mask
    if mask.shape != size[::-1]:
        sizes = [f"{width}x{height}" for width, height in (size, mask.shape[::-1])]
        name = f" {shown(sample.mask)}" if isinstance(sample.mask, Path) else ""
        raise DataError(f"{sample.name}: the picture is {sizes[0]}, its mask{name} {sizes[1]}")
    return mask


def _picture(sample: Sample, size: int | None, channels: int = 3) -> Decoded:
    if isinstance(sample.picture, np.ndarray):
        picture = with_channels(picture_from(sample.picture), channels, sample.name)
        return Decoded(picture, picture.size)
    cropped = sample.box is not None and sample.crop  # then the pixels of the whole picture are needed
    return decode_picture(sample.picture, sample.name, None if cropped else size, channels)


def _filled(box: tuple[int, int, int, int], size: tuple[int, int]) -> NDArray[np.bool_]:
    mask = np.zeros(size[::-1], np.bool_)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def _within(box: tuple[float, float, float, float], size: tuple[int, int], name: str) -> tuple[int, int, int, int]:
    """A box's left, top, right and bottom in whole pixels."""
    left, top, width, height = box
    right, bottom = min(left + width, size[0]), min(top + height, size[1])
    inside = max(0.0, right - max(0.0, left)) * max(0.0, bottom - max(0.0, top))
    if not (width > 0 and height > 0 and inside >= _INSIDE * width * height):  # so that NaN is refused, too
        raise DataError(f"{name}: the box {box} (left, top, width, height) is not inside its picture of {size}")
    x, y = (min(max(0, round(start)), side - 1) for start, side in zip((left, top), size, strict=True))
    return x, y, max(x + 1, round(right)), max(y + 1, round(bottom))
