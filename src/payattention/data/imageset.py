"""What every data set becomes: pictures of one size, labels, class names, and object masks where there are any."""

import os
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from payattention.data.on_disk import Rows
from payattention.errors import DataError, no_such_label

if TYPE_CHECKING:
    from torch import Tensor

_MASKS = 1024  # masks looked at at a time


@dataclass(frozen=True)
class ImageSet:
    """One split of a data set; `data[number]` is an image and its label, as PyTorch's loaders ask for them.

    Attributes:
        name: What it was asked for by, e.g. "cluttered_digits".
        split: "train" or "test".
        images: uint8 (N, H, W, channels), 3 for RGB, 1 for grey; may be a memory map, or stay in files, from which
            `images[2:9]` or `images[numbers]` are read and `np.asarray(images)` is all.
        labels: int64 (N,), in 0 ... C-1.
        classes: The C class names.
        masks: bool (N, H, W), true on the object, kept as the images are; None where the set has none.
        mirror: Whether a mirrored picture still belongs to its class (false for digits).
        source: What a reader of results ought to know of where the pixels come from ("parquet copy, pictures as
            JPEG"); "" for the set as published.
        skipped: Pictures that had to be left out, a line each: the file, and what is wrong with it.
        crop_mode: How the pictures became squares: a name of `payattention.pictures.reading.CROP_MODES`.
        names: What each picture is called, bytes (N,) as of file names: its file, or its place in one. None where
            nobody knows.
    """

    name: str
    split: str
    images: NDArray[np.uint8] | Rows
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    masks: NDArray[np.bool_] | Rows | None = None
    mirror: bool = True
    source: str = ""
    skipped: tuple[str, ...] = ()
    crop_mode: str = "center"
    names: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        count = len(self.images)
        if count == 0:
            raise DataError(f"{self.name}: the {self.split} split has no images")
        if len(self.labels) != count:
            raise DataError(f"{self.name}: {count} images, but {len(self.labels)} labels")
        if self.labels.min() < 0 or self.labels.max() >= len(self.classes):
            wrong = self.labels.min() if self.labels.min() < 0 else self.labels.max()
            raise no_such_label(self.name, int(wrong), len(self.classes))
        if self.masks is not None and self.masks.shape != self.images.shape[:3]:
            raise DataError(f"{self.name}: masks of shape {self.masks.shape}, images of {self.images.shape[:3]}")
        if self.names is not None and len(self.names) != count:
            raise DataError(f"{self.name}: {count} images, but {len(self.names)} names")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: SupportsIndex) -> "tuple[Tensor, int]":
        """An image, float (C, H, W) in 0 ... 1, and its label: `torch.utils.data.DataLoader` takes the set as it is."""
        import torch

        image = torch.from_numpy(np.array(self.images[number]))
        return image.permute(2, 0, 1).float() / 255, int(self.labels[number])

    @property
    def image_size(self) -> int:
        """The shorter side, in pixels."""
        return min(self.images.shape[1:3])

    @property
    def channels(self) -> int:
        """Of the images: 3 for RGB, 1 for grey."""
        return int(self.images.shape[3])

    @property
    def class_counts(self) -> NDArray[np.int64]:
        """How many images each class has: int64 (C,)."""
        return np.bincount(self.labels, minlength=len(self.classes))

    @property
    def has_object(self) -> NDArray[np.bool_]:
        """Whether an image's mask has an object: bool (N,); all false where the set has no masks."""
        if self.masks is None:
            return np.zeros(len(self), np.bool_)
        parts = [self.masks[k : k + _MASKS].any((1, 2)) for k in range(0, len(self), _MASKS)]
        found: NDArray[np.bool_] = np.concatenate(parts)
        return found

    @property
    def checksum(self) -> int:
        """By which the set is known again: CRC-32 of its labels, and of 64 of its pictures, evenly spread."""
        checksum = zlib.crc32(self.labels.tobytes())
        for number in np.linspace(0, len(self) - 1, min(64, len(self)), dtype=np.int64):
            checksum = zlib.crc32(self.images[number].tobytes(), checksum)
        return checksum

    def name_of(self, number: int) -> str:
        """What a picture is called: its file, or its place in one; else its number here."""
        return f"{self.name}, image {number}" if self.names is None else os.fsdecode(self.names[number])

    def first(self, count: int) -> "ImageSet":
        """The first `count` images."""
        return self.chosen(slice(count))

    def chosen(self, which: slice | NDArray[np.int64]) -> "ImageSet":
        """Some of the images, by slice (no copy) or by number; what stays in a file is not read."""
        masks = None if self.masks is None else _rows(self.masks, which)
        names = None if self.names is None else self.names[which]
        return replace(self, images=_rows(self.images, which), labels=self.labels[which], masks=masks, names=names)


def _rows(array: Any, which: slice | NDArray[np.int64]) -> Any:
    return array.chosen(which) if isinstance(array, Rows) else array[which]
