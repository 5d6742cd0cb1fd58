"""Scoring maps on a data set, batch by batch."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from rich.console import Console
from torch import Tensor

from payattention.attention.maps import upsampled
from payattention.data import ImageSet
from payattention.data.parts import in_turn
from payattention.data.tensors import at_once
from payattention.errors import PayAttentionError
from payattention.evaluation.comparison.budget import Bound, in_time
from payattention.evaluation.comparison.columns import Batch, of_a_source, of_few_passes, of_many_passes
from payattention.evaluation.comparison.sources import Source
from payattention.models import Classifier
from payattention.system.progress import Meter, length

SHOWN = 6
"""Pictures whose maps are kept to be looked at: the first ones."""


class Scores:
    """The scores of one kind of map as they come."""

    def __init__(self, name: str, source: Source) -> None:
        self.name, self.source = name, source
        self.seconds = 0.0
        """Time to make all maps of the source."""
        self.pictures = 0
        self._batches: dict[str, list[Tensor]] = {}
        self._maps: list[Tensor] = []

    def add(self, scores: Mapping[str, Tensor], maps: Tensor, seconds: float) -> None:
        """Takes a batch: by metric, (n, ...); and the maps (n, h, w)."""
        for metric, values in scores.items():
            self._batches.setdefault(metric, []).append(values.cpu())
        if self.pictures < SHOWN:
            self._maps.append(maps[: SHOWN - self.pictures].float().cpu())
        self.pictures += len(maps)
        self.seconds += seconds

    def of(self, metric: str) -> Tensor:
        """The scores of all pictures so far, (n, ...)."""
        return torch.cat(self._batches[metric])

    @property
    def maps(self) -> Tensor:
        """Of the first pictures, on their own grid: (n, h, w)."""
        return torch.cat(self._maps)


@dataclass
class Scored:
    """What a data set's pictures were scored to be.

    Attributes:
        rows: The scores by row, those of one source side by side.
        broken: By the title of a source whose maps could not be scored, what is wrong with them, in a line.
        costly: How many pictures, the first ones, were scored by what takes many forward passes.
    """

    rows: dict[str, Scores] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    costly: int = 0

    def whole(self, found: Sequence[Source]) -> list[Source]:
        """Those of some sources whose maps could be scored."""
        return [source for source in found if source.title not in self.broken]


@dataclass(frozen=True)
class Scoring:
    """How maps are made and scored.

    Attributes:
        model: In evaluation mode, on the device.
        device: Where maps are made.
        tolerance: Of the pointing game, in pixels.
        further: Columns that are asked for, names of `payattention.evaluation.metrics.FURTHER`.
    """

    model: Classifier
    device: torch.device
    tolerance: int
    further: tuple[str, ...] = ()

    def batch(self, source: Source, batch: Batch, found: dict[str, Scores], *, costly: bool) -> None:
        """Adds the scores of some pictures to those found; with those of many forward passes, or without."""
        start = self._clock()
        made = source.maps(batch.images)
        seconds = self._clock() - start
        others = of_a_source(source, batch, self.further) if costly else {}
        for name, own in made.items():
            maps = upsampled(own.float(), (batch.truth.shape[1], batch.truth.shape[2]))
            scores = of_few_passes(maps, batch, self.tolerance, self.further)
            if costly:
                scores |= of_many_passes(maps, batch, self.further)
            scores |= {column: rows[name] for column, rows in others.items()}
            found.setdefault(name, Scores(name, source)).add(scores, own, seconds)

    def _clock(self) -> float:
        """Seconds, when all that was asked of the device is done."""
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)
        return time.perf_counter()


def scored(
    scoring: Scoring, found: Sequence[Source], data: ImageSet, bound: Bound, console: Console | None = None
) -> Scored:
    """The scores of all maps of all sources.

    The pictures are taken evenly from the classes. The first ones, as many as the bound allows, get all maps and all
    metrics; the others the maps of few forward passes and the metrics of none. So whatever takes many passes is
    measured on the same pictures.

    Args:
        scoring: How.
        found: What makes the maps. One whose maps cannot be scored is left out from there on.
        data: The data set.
        bound: Of what takes many forward passes.
        console: Where progress is shown.
    """
    done, order = Scored(), in_turn(data.labels)
    size = at_once(scoring.device, *data.images.shape[1:3])
    with Meter("all methods", min(bound.pictures, len(data)), console) as meter:
        for chosen in in_time(bound, len(data), size):
            _score(scoring, found, data.chosen(order[chosen]), done, costly=True)
            done.costly = chosen.stop
            meter.advance(length(chosen))
    with Meter("methods of few passes", len(data) - done.costly, console) as meter:
        for chosen in _slices(done.costly, len(data), size):
            _score(scoring, [own for own in found if not own.costly], data.chosen(order[chosen]), done, costly=False)
            meter.advance(length(chosen))
    return done


def _score(scoring: Scoring, found: Sequence[Source], pictures: ImageSet, done: Scored, *, costly: bool) -> None:
    batch = Batch(scoring.model, pictures, scoring.device)
    for source in done.whole(found):
        try:
            scoring.batch(source, batch, done.rows, costly=costly)
        except PayAttentionError as error:  # maps that are not finite: the others are still worth knowing
            done.broken[source.title] = f"{source.title}: {error}"
            done.rows = {name: row for name, row in done.rows.items() if row.source is not source}


def _slices(start: int, stop: int, size: int) -> Iterator[slice]:
    return (slice(first, min(first + size, stop)) for first in range(start, stop, size))
