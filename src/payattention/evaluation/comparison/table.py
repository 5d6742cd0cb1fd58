"""Trained against post-hoc: every kind of map and every metric in one table, on one model and one data set.

Post-hoc methods ask for the predicted class, since a map is wanted where the label is not known. Maps are brought to
the masks' grid bilinearly and scored there, picture by picture; a cell of the table is the mean over pictures. What
takes many forward passes a picture (some methods; deletion and insertion of every map) is measured on a part of the
set, evenly from its classes; two rows are compared on the pictures that both have.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from rich.console import Console
from torch import Tensor

from payattention.data import ImageSet
from payattention.data.catalogue import without_masks
from payattention.data.parts import divided
from payattention.data.same_classes import known_part
from payattention.data.tensors import images_of, slices_of
from payattention.errors import DataError, PayAttentionError
from payattention.evaluation.comparison.scoring import Scores, measured
from payattention.evaluation.comparison.sources import Kind, Source, sources
from payattention.evaluation.comparison.verdict import Margin, margins, verdict
from payattention.evaluation.metrics import METRICS
from payattention.evaluation.result import ClassResult
from payattention.models import Classifier
from payattention.models.evaluating import evaluating
from payattention.system.machine import chosen_device
from payattention.system.provenance import Stopwatch
from payattention.system.reporting import Table, per_cent

_LOOKED_AT = 16  # pictures, for what is to be borne in mind


@dataclass(frozen=True)
class Row:
    """One kind of map.

    Attributes:
        name: What it is.
        method: The title of what made it, which may have made others, too.
        kind: "trained", "post-hoc" or "trivial".
        pictures: How many it was measured on; deletion and insertion on `Comparison.costly` of them.
        scores: By metric, the mean in per cent over the pictures for which it is defined, None where it is for none.
        milliseconds: A picture, for all maps of its method together, the forward pass among them.
    """

    name: str
    method: str
    kind: Kind
    pictures: int
    scores: Mapping[str, float | None]
    milliseconds: float


class Bound(NamedTuple):
    """What is spent on each method that takes many forward passes: so many pictures, and about so many minutes.

    A method that runs out of time has fewer pictures in its rows; it has at least one.
    """

    pictures: int = 100
    minutes: float | None = None

    @property
    def seconds(self) -> float | None:
        return None if self.minutes is None else 60 * self.minutes


@dataclass(frozen=True, kw_only=True)
class Comparison(ClassResult):
    """The table and what it says.

    Attributes:
        model: The network's name.
        without_object: How many of them have an empty mask.
        costly: Pictures of what takes many forward passes.
        rows: The table.
        margins: By post-hoc row, how far the trained combined map lies above it in pixel average precision.
        verdict: That in words.
        left_out: A line for each method that could not be measured.
        baseline: Of the methods that take pixels away; None for each one's own.
        notes: What to bear in mind of some rows, a line each.
    """

    model: str
    without_object: int
    costly: int
    rows: tuple[Row, ...]
    margins: Mapping[str, Margin]
    verdict: str
    left_out: tuple[str, ...]
    baseline: str | None
    notes: tuple[str, ...]

    def report(self) -> Iterator[Table | str]:
        columns = ("map", "kind", "pictures", *(metric.heading for metric in METRICS.values()), "ms a picture")
        rows = [(row.name, row.kind, row.pictures, *row.scores.values(), row.milliseconds) for row in self.rows]
        yield Table(columns, rows, f"{self.model} on {self.data}, {self.split}: % (arrows point to the better)")
        yield f"Deletion and insertion are of {self.costly:,} pictures."
        if self.without_object:
            yield (
                f"{self.without_object:,} of {self.count:,} pictures have no object, or no mask: pointing, energy "
                "and pixel AP leave them out, and in Jaccard any mask found there counts 0."
            )
        for row in self.rows:
            if row.pictures < self.costly:
                yield f"{row.name}: {row.pictures:,} pictures, for want of time (--minutes)"
        yield from (f"note: {line}" for line in self.notes)
        yield from (f"left out: {line}" for line in self.left_out)
        yield self.verdict


def compare(
    model: Classifier,
    data: ImageSet,
    *,
    methods: Sequence[str] | None = None,
    baseline: str | None = None,
    costly: int | Bound = 100,
    tolerance: int = 2,
    seed: int = 0,
    console: Console | None = None,
) -> Comparison:
    """Measures the maps of a model and what can be set against them.

    Args:
        model: Any classifier.
        data: A set with masks. Pictures of classes that the model does not know are left out, unless it knows none.
        methods: Names of `payattention.posthoc.METHODS`, or "fast" or "all", of which those are taken that the model
            and the machine allow; by default "all".
        baseline: Of the methods that take pixels away, "black", "mean" or "blur"; by default each one's own.
        costly: At most so many pictures for what takes many forward passes, or a bound in pictures and minutes.
        tolerance: Of the pointing game, in pixels.
        seed: Of the random maps.
        console: Where progress is shown.

    Raises:
        UsageError: A set without masks, or a method that is unknown or impossible here.
        DataError: A set whose masks are all empty.
    """
    data, difference = known_part(data, model.classes)
    empty = check_has_objects(data)
    found, left_out = sources(model, methods, seed, baseline)
    watch, device = Stopwatch(), chosen_device()
    bound = Bound(costly) if isinstance(costly, int) else costly
    parts, columns = divided(data, bound.pictures), list[Scores]()
    with evaluating(model, device):
        notes = _notes(found, data, device)
        _warm_up(model, data, device)
        for source in found:
            try:
                columns += measured(source, model, parts, device, tolerance, bound.seconds, console)
            except PayAttentionError as error:  # maps that are not finite: the others are still worth knowing
                left_out = (*left_out, f"{source.title}: {error}")
    above, said = _judged(columns)
    return Comparison(
        model=model.name,
        data=data.name,
        split=data.split,
        source=data.source,
        count=len(data),
        without_object=empty,
        costly=len(parts[0]),
        rows=tuple(_row(scores) for scores in columns),
        margins=above,
        verdict=said,
        left_out=left_out,
        baseline=baseline,
        notes=notes,
        provenance=watch.provenance(device, seed),
        **asdict(difference),
    )


def check_has_objects(data: ImageSet) -> int:
    """How many pictures of a set have an empty mask.

    Raises:
        UsageError: A set without masks.
        DataError: All masks are empty.
    """
    if data.masks is None:
        raise without_masks(data.name)
    empty = int((~data.masks.any((1, 2))).sum())
    if empty == len(data):
        raise DataError(f"{data.name}: the masks of all {empty} pictures of the {data.split} split are empty")
    return empty


def _judged(columns: Sequence[Scores]) -> tuple[dict[str, Margin], str]:
    """The margins over the post-hoc rows, and the verdict."""
    precision = {scores.name: scores.of("average_precision") for scores in columns}
    above = margins(precision, {scores.name: scores.source.kind for scores in columns})
    return above, verdict(above, precision)


def _row(scores: Scores) -> Row:
    return Row(
        name=scores.name,
        method=scores.source.title,
        kind=scores.source.kind,
        pictures=scores.pictures,
        scores={metric: _mean(scores.of(metric)) for metric in METRICS},
        milliseconds=round(1000 * scores.seconds / scores.pictures, 3),
    )


def _mean(scores: Tensor) -> float | None:
    mean = scores.double().nanmean().item()
    return None if math.isnan(mean) else per_cent(mean, 2)


def _notes(found: Sequence[Source], data: ImageSet, device: torch.device) -> tuple[str, ...]:
    """The caveats of sources, by the set's first pictures."""
    images = images_of(data, slice(min(len(data), _LOOKED_AT)), device)
    lines = [source.caveat(images) for source in found if source.caveat is not None]
    return tuple(line for line in lines if line is not None)


@torch.no_grad()
def _warm_up(model: Classifier, data: ImageSet, device: torch.device) -> None:
    """The first pass is slow for reasons that are none of the first map's."""
    model(images_of(data, slices_of(data, device)[0], device))
