"""Pictures that are decoded each time they are asked for: for sets of which the disk has no room for a cache."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from payattention.data.decoding import Form, decoded
from payattention.data.imageset import ImageSet
from payattention.data.on_disk import Rows
from payattention.data.samples import Contents, Listing, Sample
from payattention.errors import DataError, UsageError, no_such_label
from payattention.pictures.reading import quiet


class Uncached(Rows):
    """Images uint8 (N, size, size, channels) that are decoded when they are asked for, as the cache would have them.

    Args:
        samples: Files.
        form: What they become; its size is set.

    Raises:
        DataError: In reading, a picture that cannot be read: it is too late to leave it out.
    """

    def __init__(self, samples: Sequence[Sample], form: Form) -> None:
        assert form.size is not None
        super().__init__(np.dtype(np.uint8), (len(samples), form.size, form.size, form.channels))
        self._samples, self._form = samples, form

    def _read(self, places: range | NDArray[np.int64]) -> NDArray[Any]:
        images = np.empty((len(places), *self.shape[1:]), np.uint8)
        with quiet:
            for image, place in zip(images, places, strict=True):
                try:
                    image[:] = decoded(self._samples[place], self._form)
                except DataError as error:
                    raise DataError(f"{error}; remove it, or let the cache leave it out (without --uncached)") from None
        return images


def uncached(name: str, split: str, form: Form, listing: Listing) -> ImageSet:
    """The images of a split, decoded whenever they are asked for; it has no masks.

    Raises:
        UsageError: Pictures that are no files of their own, or that have no size yet.
        DataError: A label that is out of range.
    """
    contents = listing.open()
    samples = list(_files(name, contents))
    if form.size is None:
        raise UsageError(f"{name}: say which size its pictures shall have (--image-size) where no cache is made")
    return ImageSet(
        name,
        split,
        Uncached(samples, form),
        np.array([sample.label for sample in samples], np.int64),
        contents.classes,
        source=contents.source,
        skipped=tuple(contents.problems),
        crop_mode=form.crop_mode,
        names=np.array([os.fsencode(sample.name) for sample in samples], np.bytes_),
    )


def _files(name: str, contents: Contents) -> Iterator[Sample]:
    for sample in contents.samples:
        if not isinstance(sample.picture, Path):
            raise UsageError(f"{name}: its pictures are no files of their own, and are decoded into the cache first")
        if not 0 <= sample.label < len(contents.classes):
            raise no_such_label(sample.name, sample.label, len(contents.classes))
        yield sample
