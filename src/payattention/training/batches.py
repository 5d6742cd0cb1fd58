"""A data set to train on, on the device or read ahead from where it lies, and one epoch of augmented batches of it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from payattention.data import ImageSet
from payattention.data.on_disk import Rows
from payattention.data.uncached import Uncached
from payattention.errors import UsageError
from payattention.system.machine import chosen_threads
from payattention.system.memory import fits
from payattention.system.processes import ALONE, Processes
from payattention.system.workers import read_ahead
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
class TrainingSet(ABC):
    """What batches are drawn from.

    Attributes:
        labels: (N,), on the device.
        mirror: Whether a mirrored picture still belongs to its class.
    """

    labels: Tensor
    mirror: bool

    def __len__(self) -> int:
        return len(self.labels)

    @property
    @abstractmethod
    def side(self) -> int:
        """Of the images, the shorter one, in pixels."""

    @abstractmethod
    def images_of(self, batches: Sequence[Tensor]) -> Iterator[Tensor]:
        """The images of one batch after another, which are told by their numbers, (B,) on the device.

        Yields:
            uint8 (B, channels, H, W) in channels-last memory, on the device.
        """

    def epoch(self, recipe: Recipe, seed: int, number: int, first: int = 0, processes: Processes = ALONE) -> "Epoch":
        return Epoch(self, recipe, seed, number, first, processes)


@dataclass(frozen=True)
class DeviceSet(TrainingSet):
    """A set that is on the device as a whole.

    Attributes:
        images: uint8 (N, channels, H, W) in channels-last memory.
    """

    images: Tensor

    @classmethod
    def of(cls, data: ImageSet, device: torch.device) -> "DeviceSet":
        images = torch.from_numpy(np.asarray(data.images)).permute(0, 3, 1, 2)  # (N, H, W, channels) is channels-last
        return cls(torch.from_numpy(data.labels).to(device), data.mirror, images.to(device))

    @property
    def side(self) -> int:
        return min(self.images.shape[2:])

    def images_of(self, batches: Sequence[Tensor]) -> Iterator[Tensor]:
        return (self.images[chosen] for chosen in batches)


@dataclass(frozen=True)
class StreamedSet(TrainingSet):
    """A set that stays where it lies: in its file, or in main memory; batches are read ahead of the device.

    Attributes:
        images: uint8 (N, H, W, channels).
    """

    images: NDArray[np.uint8] | Rows

    @classmethod
    def of(cls, data: ImageSet, device: torch.device) -> "StreamedSet":
        return cls(torch.from_numpy(data.labels).to(device), data.mirror, data.images)

    @property
    def side(self) -> int:
        return min(self.images.shape[1:3])

    def images_of(self, batches: Sequence[Tensor]) -> Iterator[Tensor]:
        device = self.labels.device
        numbers = [chosen.cpu().numpy() for chosen in batches]  # now: later each would wait for the device
        readers = chosen_threads() if isinstance(self.images, Uncached) else 1
        for images in read_ahead(partial(self._read, pinned=device.type == "cuda"), numbers, readers):
            yield images.to(device, non_blocking=True).permute(0, 3, 1, 2)

    def _read(self, numbers: NDArray[np.int64], pinned: bool) -> Tensor:
        images = torch.from_numpy(self.images[numbers])
        return images.pin_memory() if pinned else images


def training_set(data: ImageSet, device: torch.device) -> TrainingSet:
    """A set on the device, or where it lies if it does not fit there."""
    streamed = isinstance(data.images, Rows) or (device.type != "cpu" and not fits(data.images.nbytes, device))
    return (StreamedSet if streamed else DeviceSet).of(data, device)


@dataclass(frozen=True)
class Epoch:
    """The training batches of one epoch: a permutation of the set, its incomplete last batch dropped.

    Balanced sampling draws as many images with replacement instead, each class as often as any other. Everything
    random comes from (seed, epoch, batch), so any batch can be made again without those before it.

    Attributes:
        data: The set.
        recipe: How to train.
        seed: The run's.
        number: Of the epoch, from 0.
        first: The batch to begin with.
        processes: Each gets its share of every batch, drawn and augmented as one: together they see what one would.
    """

    data: TrainingSet
    recipe: Recipe
    seed: int
    number: int
    first: int = 0
    processes: Processes = ALONE

    def __post_init__(self) -> None:
        side = self.data.side
        if self.recipe.shift >= side:
            raise UsageError(f"shift is {self.recipe.shift} pixels: it must be below the images' {side}")

    def __len__(self) -> int:
        return batches_of(len(self.data), self.recipe) - self.first

    @property
    def size(self) -> float:
        """Image size of this epoch as a share of the full one."""
        last = len(self.recipe.sizes) - 1
        return self.recipe.sizes[
            round(self.number * last / (self.recipe.epochs - 1)) if self.recipe.epochs > 1 else last
        ]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields images, float (B, channels, h, w) in [0, 1], and labels (B,)."""
        order = drawn(self.data.labels, self.recipe.sampling, self._random(1 + self.number))
        # drawn for the whole set, by a generator that is the same in every epoch
        turn = alternating(len(self.data), self.number, self._random(0)) if self._mirrors("alternating") else None
        batches = [batch_of(order, k, self.recipe) for k in range(self.first, self.first + len(self))]
        for k, images in enumerate(self.data.images_of(batches), self.first):
            chosen = batches[k - self.first]
            if turn is not None:
                images = mirrored(images, turn[chosen])
            images = self._augmented(images, self._random(1 + self.number, 1 + k))
            mine = self.processes.share(len(chosen))
            yield resized(images[mine], self.size), self.data.labels[chosen[mine]]

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
        return self.recipe.mirrors(self.data.mirror) and self.recipe.flips == kind

    def _random(self, *place: int) -> torch.Generator:
        return generator(self.data.labels.device, self.seed, *place)


def generator(device: torch.device, *place: int) -> torch.Generator:
    """Random numbers of a place in a run: (seed, epoch) or (seed, epoch, batch), each counted from 1."""
    (state,) = np.random.SeedSequence(place).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state))


def batches_of(count: int, recipe: Recipe) -> int:
    """Batches in an epoch of so many images."""
    return max(1, count // recipe.batch_size)


def batch_of(order: Tensor, k: int, recipe: Recipe) -> Tensor:
    """The images of batch k, as indices."""
    return order[k * recipe.batch_size : (k + 1) * recipe.batch_size]


def drawn(labels: Tensor, sampling: str, random: torch.Generator) -> Tensor:
    """The order of an epoch, as indices (N,): "shuffled", or "balanced" (see `Recipe`)."""
    if sampling == "shuffled":
        return torch.randperm(len(labels), generator=random, device=random.device)
    share = 1 / labels.bincount().float()[labels]  # every class present has the same sum
    exact = torch.float32 if random.device.type == "mps" else torch.float64  # MPS has no float64
    ends = share.to(exact).cumsum(0)  # torch.multinomial takes 2^24 images at most
    draws = torch.rand(len(labels), generator=random, device=random.device, dtype=exact)
    return torch.searchsorted(ends, draws * ends[-1]).clamp_max(len(labels) - 1)
