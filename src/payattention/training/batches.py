"""A data set that lives on the device as uint8, and one epoch of augmented batches of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from payattention.data import ImageSet
from payattention.training.augment import mirrored, resized, shifted
from payattention.training.recipe import Recipe


@dataclass(frozen=True)
class DeviceSet:
    """Images uint8 (N, 3, H, W) in channels-last memory, and labels (N,), on one device."""

    images: Tensor
    labels: Tensor
    mirror: bool

    @classmethod
    def of(cls, data: ImageSet, device: torch.device) -> "DeviceSet":
        images = torch.from_numpy(data.images).permute(0, 3, 1, 2)  # no copy: (N, H, W, 3) is channels-last
        return cls(images.to(device), torch.from_numpy(data.labels).to(device), data.mirror)

    def __len__(self) -> int:
        return len(self.labels)

    def epoch(self, recipe: Recipe, seed: int, number: int) -> "Epoch":
        return Epoch(self, recipe, seed, number)


@dataclass(frozen=True)
class Epoch:
    """The training batches of one epoch: a permutation of the set, its incomplete last batch dropped.

    Everything random comes from (seed, epoch), so any epoch can be made again.
    """

    data: DeviceSet
    recipe: Recipe
    seed: int
    number: int

    def __len__(self) -> int:
        return max(1, len(self.data) // self.recipe.batch_size)

    @property
    def size(self) -> float:
        """Image size of this epoch as a share of the full one."""
        stage = self.number * len(self.recipe.sizes) // self.recipe.epochs
        return self.recipe.sizes[min(stage, len(self.recipe.sizes) - 1)]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields images, float (B, 3, h, w) in [0, 1], and labels (B,)."""
        device = self.data.labels.device
        random = torch.Generator(device).manual_seed(self.seed * 1_000_003 + self.number)
        order = torch.randperm(len(self.data), generator=random, device=device)
        size = self.recipe.batch_size
        for k in range(len(self)):
            chosen = order[k * size : (k + 1) * size]
            images, count = self.data.images[chosen], len(chosen)
            if self.recipe.mirror and self.data.mirror:
                images = mirrored(images, torch.rand(count, generator=random, device=device) < 0.5)
            if reach := self.recipe.shift:
                offsets = torch.randint(-reach, reach + 1, (count, 2), generator=random, device=device)
                images = shifted(images, offsets)
            yield resized(images, self.size), self.data.labels[chosen]
