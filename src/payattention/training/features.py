"""Features of a frozen backbone: computed once, kept, and trained on many times.

A frozen backbone gives the same features for a picture in every epoch, so only what comes after it is trained: seconds
where the whole network would take an hour. Mirrored pictures, which a backbone does not simply mirror, are a second
copy. Other augmentation would need the backbone again: `Recipe.check_frozen` refuses it.
"""

import math
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import torch
from jaxtyping import Float
from rich.console import Console
from torch import Tensor, nn

from payattention.data import ImageSet
from payattention.data.tensors import images_of, slices_of
from payattention.errors import DataError
from payattention.models.attentive import AttentiveClassifier
from payattention.models.classifier import Classifier, Look
from payattention.models.evaluating import evaluating
from payattention.models.rewrites.fold import fold, foldable
from payattention.models.timm_backbones.trunk import TimmTrunk
from payattention.system.machine import autocast, memory_format, training_precision
from payattention.system.processes import ALONE, Processes
from payattention.system.progress import Meter
from payattention.system.workers import computed_in_order
from payattention.training.batches import batch_of, batches_of, drawn, generator
from payattention.training.recipe import Recipe

MEMORY = 2 * 2**30
"""Bytes of features that are kept in memory; more go to a file in the run folder while the run lasts."""


def is_frozen(model: nn.Module) -> TypeGuard[AttentiveClassifier]:
    """Whether a model's backbone is frozen, so that its features can be kept."""
    return isinstance(model, AttentiveClassifier) and model.trunk.frozen


def trunk_of(model: AttentiveClassifier) -> TimmTrunk:
    """The trunk of an attached model."""
    assert isinstance(model.trunk, TimmTrunk)
    return model.trunk


class FeatureClassifier(nn.Module):
    """What remains of a frozen model: features by level in, logits out. Shares its weights with the model."""

    def __init__(self, model: AttentiveClassifier) -> None:
        super().__init__()
        self.model = model
        self.trunk = trunk_of(model)

    def forward(self, features: dict[str, Tensor]) -> Float[Tensor, "n c"]:
        return self.model.look_at(self.trunk.complete(features)).logits


@torch.inference_mode()
def looks_at(model: AttentiveClassifier, features: "FeatureSet") -> Iterator[Look]:
    """What a model makes of kept features, batch by batch; of levels that it does not attend to, nothing."""
    with evaluating(model):
        for batch in features.only(model.levels).in_order():
            yield model.look_at(trunk_of(model).complete(batch))


@dataclass(frozen=True)
class FeatureSet:
    """A data set as a frozen backbone sees it.

    Attributes:
        features: By level, (copies, N, d, h, w): of the pictures and, where there are two copies, of their mirror
            images; values beyond float16 are cut to its range. Channels lie last in memory, as a CPU's batch norms and
            1x1 convolutions want them.
        labels: int64 (N,).
    """

    features: dict[str, Tensor]
    labels: Tensor

    @classmethod
    def of(
        cls,
        model: AttentiveClassifier,
        data: ImageSet,
        device: torch.device,
        file: Path,
        *,
        mirrored: bool = False,
        dtype: torch.dtype = torch.float16,
        console: Console | None = None,
    ) -> "FeatureSet":
        """Runs the backbone over a data set, once or, with mirror images, twice.

        Args:
            model: A model with a frozen backbone.
            data: The data set.
            device: Where the backbone runs; the features stay in main memory or on disk.
            file: Written if the features exceed `MEMORY`; the caller removes it.
            mirrored: Whether to add the mirror images' features.
            dtype: Of what is kept: float16, or float32 for exactness at twice the space.
            console: Where progress is shown.

        Raises:
            DataError: Features that fit neither in memory nor on the disk.
        """
        model.eval().to(device).to(memory_format=memory_format(model))
        quick = fold(model) if foldable(model) else model  # nothing is trained here that its norms are needed for
        limit = torch.finfo(dtype).max
        features: dict[str, Tensor] = {}

        def run(step: tuple[int, slice]) -> tuple[int, slice, dict[str, Tensor]]:
            copy, chosen = step
            images = images_of(data, chosen, device)
            found = _run(quick, images.flip(3) if copy else images)
            return copy, chosen, {name: v.float().clamp(-limit, limit).to("cpu", dtype) for name, v in found.items()}

        steps = [(copy, chosen) for copy in range(1 + mirrored) for chosen in slices_of(data, device)]
        with Meter("running the backbone", (1 + mirrored) * len(data), console) as meter:
            for copy, chosen, found in computed_in_order(run, steps, device):
                if not features:
                    shapes = {name: (1 + mirrored, len(data), *values.shape[1:]) for name, values in found.items()}
                    features = _allocated(shapes, dtype, file)
                for name, values in found.items():
                    features[name][copy, chosen] = values
                meter.advance(len(values))
        return cls(features, torch.from_numpy(data.labels))

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, names: Iterable[str]) -> "FeatureSet":
        """Those of these names."""
        return FeatureSet({name: self.features[name] for name in names}, self.labels)

    def in_order(self, size: int = 64) -> Iterator[dict[str, Tensor]]:
        """The features of the pictures, not of their mirror images, float (B, d, h, w) by level, batch by batch."""
        for start in range(0, len(self), size):
            yield {name: values[0, start : start + size].float() for name, values in self.features.items()}

    def epoch(
        self, recipe: Recipe, seed: int, number: int, first: int = 0, processes: Processes = ALONE
    ) -> "FeatureEpoch":
        return FeatureEpoch(self, recipe, seed, number, first, processes)


@dataclass(frozen=True)
class FeatureEpoch:
    """The training batches of one epoch, each picture or its mirror image; random and divided as `batches.Epoch` is."""

    data: FeatureSet
    recipe: Recipe
    seed: int
    number: int
    first: int = 0
    processes: Processes = ALONE
    size: float = 1.0

    def __len__(self) -> int:
        return batches_of(len(self.data), self.recipe) - self.first

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        """Yields features by level, float (B, d, h, w), and labels (B,)."""
        cpu, copies = self.data.labels.device, next(iter(self.data.features.values())).shape[0]
        order = drawn(self.data.labels, self.recipe.sampling, generator(cpu, self.seed, 1 + self.number))
        for k in range(self.first, self.first + len(self)):
            whole = batch_of(order, k, self.recipe)
            random = generator(cpu, self.seed, 1 + self.number, 1 + k)
            mine = self.processes.share(len(whole))
            copy, chosen = torch.randint(copies, (len(whole),), generator=random)[mine], whole[mine]
            yield (
                {name: values[copy, chosen].float() for name, values in self.data.features.items()},
                self.data.labels[chosen],
            )


@torch.inference_mode()
def _run(model: Classifier, images: Float[Tensor, "n channels h w"]) -> dict[str, Tensor]:
    assert isinstance(model, AttentiveClassifier)
    with autocast(images.device, training_precision()):
        return trunk_of(model).features(model.prepared(images))


def _allocated(shapes: dict[str, tuple[int, ...]], dtype: torch.dtype, file: Path) -> dict[str, Tensor]:
    """Empty tensors in memory, or in a mapped file where memory would not do."""
    counts = {name: math.prod(shape) for name, shape in shapes.items()}
    flat = _flat(sum(counts.values()), dtype, file)
    parts = flat.split(list(counts.values()))
    return {name: _channels_last(part, shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def _flat(count: int, dtype: torch.dtype, file: Path) -> Tensor:
    needed = count * dtype.itemsize
    if needed <= MEMORY:
        return torch.empty(count, dtype=dtype)
    free = shutil.disk_usage(file.parent).free
    if needed > 0.9 * free:
        raise DataError(
            f"the backbone's features need {needed / 2**30:.1f} GiB, and {file.parent} has {free / 2**30:.1f} free; "
            "take smaller pictures (--image-size) or fewer levels, write elsewhere (--out), or do not freeze"
        )
    return torch.from_file(str(file), shared=True, size=count, dtype=dtype)


def _channels_last(flat: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A view of the shape (copies, N, d, h, w) whose channels lie last in memory."""
    copies, count, d, h, w = shape
    return flat.view(copies, count, h, w, d).permute(0, 1, 4, 2, 3)
