"""A data set's images as a model takes them."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from payattention.data.imageset import ImageSet

_PIXELS = {"cpu": 250 * 32 * 32, "cuda": 250 * 224 * 224}
"""About as many in a batch: more would fall out of a CPU's cache, fewer would leave a GPU idle."""


def at_once(device: torch.device, height: int, width: int) -> int:
    """How many images of a size are one batch on a device."""
    return max(1, _PIXELS.get(device.type, _PIXELS["cpu"]) // (height * width))


def slices_of(data: ImageSet, device: torch.device) -> list[slice]:
    """The batches that a set is taken in on a device: 250 images of 32x32 on a CPU, 5 of 224x224."""
    size = at_once(device, *data.images.shape[1:3])
    return [slice(start, min(start + size, len(data))) for start in range(0, len(data), size)]


class Pixels:
    """A set's images as they are stored, uint8 (n, channels, H, W), some at a time: what statistics are taken of.

    It splits and slices as the tensor of all of them would, which memory may have no room for.
    """

    def __init__(self, data: ImageSet) -> None:
        self._images = data.images
        count, height, width, channels = data.images.shape
        self.shape = (count, channels, height, width)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, some: slice) -> Tensor:
        return torch.from_numpy(self._images[some]).permute(0, 3, 1, 2)

    def split(self, size: int) -> Iterator[Tensor]:
        """All of them, in order, `size` at a time."""
        return (self[start : start + size] for start in range(0, len(self), size))


def images_of(data: ImageSet, chosen: slice, device: torch.device) -> Tensor:
    """Float images (n, channels, H, W) in [0, 1]."""
    return as_images(data.images[chosen], device)


def as_images(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """The same of images as they are decoded, (n, H, W, channels)."""
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255
