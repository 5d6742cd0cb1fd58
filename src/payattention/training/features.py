"""Features of a frozen backbone: computed once, kept, and trained on many times.

A frozen backbone gives the same features for a picture in every epoch, so only what comes after it is trained: seconds
where the whole network would take an hour. Mirrored pictures, which a backbone does not simply mirror, are a second
copy. Other augmentation would need the backbone again: `Recipe.check_frozen` refuses it.
"""

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import torch
from jaxtyping import Float
from rich.console import Console
from torch import Tensor, nn

from payattention.data import ImageSet
from payattention.data.tensors import images_of, slices_of
from payattention.models.attentive import AttentiveClassifier
from payattention.models.classifier import Classifier, Look
from payattention.models.evaluating import evaluating
from payattention.models.rewrites.fold import quick
from payattention.models.timm_backbones.trunk import TimmTrunk
from payattention.system.machine import autocast, memory_format, training_precision
from payattention.system.memory import fits, free_bytes, in_gibibytes
from payattention.system.processes import ALONE, Processes
from payattention.system.progress import Meter, length
from payattention.system.workers import computed_in_order, read_ahead
from payattention.training.batches import batch_of, batches_of, drawn, generator
from payattention.training.feature_shards import Sharded, Shards
from payattention.training.recipe import Recipe

_LOOKED_AT = 256  # pictures' features at a time
_FORMAT = 1  # raised whenever the same backbone would give other features


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
            1x1 convolutions want them. What memory has no room for is in shards on disk, of which parts are read.
        labels: int64 (N,).
    """

    features: Mapping[str, Tensor | Sharded]
    labels: Tensor

    @classmethod
    def of(
        cls,
        model: AttentiveClassifier,
        data: ImageSet,
        device: torch.device,
        folder: Path,
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
            folder: Of shards, if the features are more than half of the memory that is free: those that lie there
                already, of the same features, are not made again. The caller removes it.
            mirrored: Whether to add the mirror images' features.
            dtype: Of what is kept: float16, or float32 for exactness at twice the space.
            console: Where progress is shown.

        Raises:
            DataError: Features that fit neither in memory nor on the disk, or that cannot be written there.
        """
        model.eval().to(device).to(memory_format=memory_format(model))
        folded = quick(model)  # nothing is trained here that its norms are needed for
        limit = torch.finfo(dtype).max

        def run(step: tuple[int, slice]) -> tuple[int, slice, dict[str, Tensor]]:
            copy, chosen = step
            images = images_of(data, chosen, device)
            found = _run(folded, images.flip(3) if copy else images)
            return copy, chosen, {name: v.float().clamp(-limit, limit).to("cpu", dtype) for name, v in found.items()}

        slices, copies = slices_of(data, device), 1 + mirrored
        shapes = {name: tuple(values.shape[1:]) for name, values in run((0, slices[0]))[2].items()}
        needed = copies * len(data) * sum(map(math.prod, shapes.values())) * dtype.itemsize
        shards = None
        if not fits(needed):
            shards = Shards(folder, _key(model, data, mirrored, device), slices, copies, shapes, dtype)
            shards.check_room()
            if console is not None:
                console.print(_why_on_disk(needed, shards), highlight=False)
        with Meter("running the backbone", copies * len(data), console) as meter:

            def computed(steps: Sequence[tuple[int, slice]]) -> Iterator[tuple[int, slice, dict[str, Tensor]]]:
                for step in computed_in_order(run, steps, device):
                    yield step
                    meter.advance(length(step[1]))

            if shards is not None:
                meter.begin_at(copies * sum(shards.made))
                shards.make(computed)
                return cls(shards.levels(), torch.from_numpy(data.labels))
            features = {name: _channels_last(copies, len(data), shape, dtype) for name, shape in shapes.items()}
            _fill(features, computed([(copy, chosen) for copy in range(copies) for chosen in slices]))
        return cls(features, torch.from_numpy(data.labels))

    @property
    def is_finite(self) -> bool:
        """Whether all features are numbers."""
        parts = [slice(start, min(start + _LOOKED_AT, len(self))) for start in range(0, len(self), _LOOKED_AT)]
        return all(
            bool(values[copy, part].isfinite().all())
            for values in self.features.values()
            for copy in range(values.shape[0])
            for part in parts
        )

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, names: Iterable[str]) -> "FeatureSet":
        """Those of these names."""
        return FeatureSet({name: self.features[name] for name in names}, self.labels)

    def in_memory(self) -> dict[str, Tensor]:
        """All features by level, wherever they are kept."""
        return {
            name: values if isinstance(values, Tensor) else torch.stack([values[k, :] for k in range(values.shape[0])])
            for name, values in self.features.items()
        }

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
        shares: list[tuple[Tensor, Tensor]] = []
        for k in range(self.first, self.first + len(self)):
            whole = batch_of(order, k, self.recipe)
            random = generator(cpu, self.seed, 1 + self.number, 1 + k)
            mine = self.processes.share(len(whole))
            shares.append((torch.randint(copies, (len(whole),), generator=random)[mine], whole[mine]))
        on_disk = any(isinstance(values, Sharded) for values in self.data.features.values())
        yield from (read_ahead if on_disk else map)(self._read, shares)

    def _read(self, share: tuple[Tensor, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        copy, chosen = share
        features = {name: values[copy, chosen].float() for name, values in self.data.features.items()}
        return features, self.data.labels[chosen]


@torch.inference_mode()
def _run(model: Classifier, images: Float[Tensor, "n channels h w"]) -> dict[str, Tensor]:
    assert isinstance(model, AttentiveClassifier)
    with autocast(images.device, training_precision()):
        return trunk_of(model).features(model.prepared(images))


def _fill(features: dict[str, Tensor], found: Iterable[tuple[int, slice, dict[str, Tensor]]]) -> None:
    for copy, chosen, pieces in found:
        for name, values in pieces.items():
            features[name][copy, chosen] = values


def _channels_last(copies: int, count: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An empty tensor (copies, N, d, h, w) whose channels lie last in memory."""
    d, h, w = shape
    return torch.empty(copies, count, h, w, d, dtype=dtype).permute(0, 1, 4, 2, 3)


def _key(model: AttentiveClassifier, data: ImageSet, mirrored: bool, device: torch.device) -> str:
    """What features on disk are known again by: pictures, backbone, device and precision."""
    parts = [_FORMAT, torch.__version__, device.type, training_precision(), mirrored, model.levels, len(data)]
    told = zlib.crc32(repr([*map(str, parts), data.split, data.images.shape, data.checksum]).encode())
    for module in (model.preprocessing, trunk_of(model)):
        for name, value in module.state_dict().items():
            plain = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
            told = zlib.crc32(plain.data, zlib.crc32(name.encode(), told))
    return f"{told:08x}"


def _why_on_disk(needed: int, shards: Shards) -> str:
    """Where features are that memory has no room for, in a line."""
    made = sum(shards.made)
    more = f"; {made:,} pictures' are there already" if made else ""
    much = f"{in_gibibytes(needed)}, more than half of the {in_gibibytes(free_bytes() or 0)} of memory that are free"
    return f"the backbone's features are {much}: they stay on disk{more}"
