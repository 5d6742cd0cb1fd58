"""A data set that lives on the device as uint8, and one epoch of augmented batches of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from payattention.data import ImageSet
from payattention.errors import UsageError
from payattention.training.augment import (
    a_random_half,
    alternating,
    cut_out,
    each_by_chance,
    mirrored,
    resized,
    shifted,
    shifted_onto_black,
)
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

    Balanced sampling draws as many images with replacement instead, each class as often as any other. Everything
    random comes from (seed, epoch), so any epoch can be made again.
    """

    data: DeviceSet
    recipe: Recipe
    seed: int
    number: int

    def __post_init__(self) -> None:
        side = min(self.data.images.shape[2:])
        if self.recipe.shift >= side:
            raise UsageError(f"shift is {self.recipe.shift} pixels: it must be below the images' {side}")

    def __len__(self) -> int:
        return max(1, len(self.data) // self.recipe.batch_size)

    @property
    def size(self) -> float:
        """Image size of this epoch as a share of the full one."""
        last = len(self.recipe.sizes) - 1
        return self.recipe.sizes[
            round(self.number * last / (self.recipe.epochs - 1)) if self.recipe.epochs > 1 else last
        ]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields images, float (B, 3, h, w) in [0, 1], and labels (B,)."""
        random = self._generator(self.number)
        order = drawn(self.data.labels, self.recipe.sampling, random)
        # drawn for the whole set, by a generator that is the same in every epoch
        turn = alternating(len(self.data), self.number, self._generator(-1)) if self._mirrors("alternating") else None
        size = self.recipe.batch_size
        for k in range(len(self)):
            chosen = order[k * size : (k + 1) * size]
            images = self.data.images[chosen]
            if turn is not None:
                images = mirrored(images, turn[chosen])
            yield resized(self._augmented(images, random), self.size), self.data.labels[chosen]

    def _augmented(self, images: Tensor, random: torch.Generator) -> Tensor:
        count, (height, width) = len(images), images.shape[2:]
        if self._mirrors("random"):
            images = mirrored(images, each_by_chance(count, random))
        if self._mirrors("half"):
            images = mirrored(images, a_random_half(count, random))
        if reach := self.recipe.shift:
            offsets = torch.randint(-reach, reach + 1, (count, 2), generator=random, device=random.device)
            images = (shifted if self.recipe.border == "reflect" else shifted_onto_black)(images, offsets)
        if self.recipe.cutout:
            sides = (torch.randint(n, (count, 1), generator=random, device=random.device) for n in (height, width))
            images = cut_out(images, torch.cat(list(sides), dim=1), self.recipe.cutout)
        return images

    def _mirrors(self, kind: str) -> bool:
        return self.recipe.mirror and self.data.mirror and self.recipe.flips == kind

    def _generator(self, number: int) -> torch.Generator:
        return torch.Generator(self.data.labels.device).manual_seed(self.seed * 1_000_003 + number)


def drawn(labels: Tensor, sampling: str, random: torch.Generator) -> Tensor:
    """The order of an epoch, as indices (N,): "shuffled", or "balanced" (see `Recipe`)."""
    if sampling == "shuffled":
        return torch.randperm(len(labels), generator=random, device=random.device)
    share = 1 / labels.bincount().float()[labels]  # every class present has the same sum
    ends = share.double().cumsum(0)  # torch.multinomial takes 2^24 images at most
    draws = torch.rand(len(labels), generator=random, device=random.device, dtype=torch.float64)
    return torch.searchsorted(ends, draws * ends[-1]).clamp_max(len(labels) - 1)
