"""Scoring the maps of one source on a data set, batch by batch."""

import time
from collections.abc import Iterator, Mapping, Sequence

import torch
from rich.console import Console
from torch import Tensor

from payattention.attention.maps import upsampled
from payattention.data import ImageSet
from payattention.data.tensors import images_of, slices_of
from payattention.evaluation.comparison.sources import Source
from payattention.evaluation.metrics import (
    METRICS,
    energy_inside,
    entropy,
    jaccard,
    otsu_masks,
    perturbation_areas,
    pixel_average_precision,
    pointing_hits,
)
from payattention.models import Classifier
from payattention.system.progress import length, tracked

STEPS = 16
"""Parts that a picture's pixels are divided into for deletion and insertion."""
_FEW = 4  # pictures


class Scores:
    """The scores of one kind of map as they come."""

    def __init__(self, name: str, source: Source) -> None:
        self.name, self.source = name, source
        self.seconds = 0.0
        """Time to make all maps of the source."""
        self._batches: dict[str, list[Tensor]] = {metric: [] for metric in METRICS}

    def add(self, scores: Mapping[str, Tensor], seconds: float) -> None:
        """Takes a batch: by metric, (n,)."""
        for metric, values in scores.items():
            self._batches[metric].append(values.cpu())
        self.seconds += seconds

    def of(self, metric: str) -> Tensor:
        """The scores of all pictures so far, (n,)."""
        return torch.cat(self._batches[metric])

    @property
    def pictures(self) -> int:
        return len(self.of("entropy"))


def measured(
    source: Source,
    model: Classifier,
    parts: Sequence[ImageSet],
    device: torch.device,
    tolerance: int,
    seconds: float | None = None,
    console: Console | None = None,
) -> list[Scores]:
    """The scores of each map of a source.

    Args:
        source: What makes the maps.
        model: In evaluation mode, on the device.
        parts: The data set; its first part is for what takes many forward passes.
        device: Where maps are made.
        tolerance: Of the pointing game, in pixels.
        seconds: About so long at most for a source that takes many forward passes, but at least one picture.
        console: Where progress is shown.

    Raises:
        PayAttentionError: Maps that are not finite.
    """
    found: dict[str, Scores] = {}
    for part in parts[:1] if source.costly else parts:
        in_time = source.costly and seconds is not None
        slices = _in_time(len(part), seconds or 0) if in_time else slices_of(part, device)
        for chosen in tracked(slices, source.title, len(part), console, count=length):
            images = images_of(part, chosen, device)
            truth = torch.from_numpy(part.masks[chosen])  # type: ignore[index]
            start = _clock(device)
            made = source.maps(images)
            seconds = _clock(device) - start
            for name, maps in made.items():
                maps = upsampled(maps.float(), (truth.shape[1], truth.shape[2]))
                scores = _on_objects(maps.cpu(), truth, tolerance)
                if part is parts[0]:
                    scores |= _on_the_network(model, images, maps.to(device))
                found.setdefault(name, Scores(name, source)).add(scores, seconds)
    return list(found.values())


def _in_time(count: int, seconds: float) -> Iterator[slice]:
    """Few pictures at a time while the next few are likely to be done in time; the first one in any case."""
    begun, done = time.perf_counter(), 0
    while done < count:
        upto = min(count, done + _FEW) if done else 1
        yield slice(done, upto)
        done = upto
        if (time.perf_counter() - begun) * (done + _FEW) / done > seconds:
            return


def _on_objects(maps: Tensor, truth: Tensor, tolerance: int) -> dict[str, Tensor]:
    return {
        "pointing": pointing_hits(maps, truth, tolerance),
        "energy": energy_inside(maps, truth),
        "jaccard": jaccard(otsu_masks(maps), truth),
        "average_precision": pixel_average_precision(maps, truth),
        "entropy": entropy(maps),
    }


@torch.no_grad()
def _on_the_network(model: Classifier, images: Tensor, maps: Tensor) -> dict[str, Tensor]:
    """Deletion and insertion, of the predicted class."""
    areas = perturbation_areas(lambda x: model(x).float().softmax(1), images, model(images).argmax(1), maps, STEPS)
    return areas._asdict()


def _clock(device: torch.device) -> float:
    """Seconds, when all that was asked of the device is done."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter()
