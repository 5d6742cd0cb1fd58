"""Trained against post-hoc: every kind of map and every metric in one table, on one model and one data set.

Post-hoc methods ask for the predicted class, since a map is wanted where the label is not known. Maps are brought to
the masks' grid bilinearly and scored there, picture by picture; a cell of the table is the mean over pictures, with its
95 % interval. What takes many forward passes a picture (some methods; deletion and insertion of every map) is measured
on a part of the set, evenly from its classes; two rows are compared on the pictures that both have.

All of it is measured on a copy of the network whose batch norms are folded into its convolutions: the same function to
rounding, in less than half the time.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from payattention.data import ImageSet
from payattention.data.catalogue import without_masks
from payattention.data.same_classes import known_part
from payattention.data.tensors import images_of, slices_of
from payattention.errors import DataError
from payattention.evaluation.comparison.budget import Bound
from payattention.evaluation.comparison.intervals import Interval, interval
from payattention.evaluation.comparison.questions import Answer, answers, in_words
from payattention.evaluation.comparison.randomisation import Randomised, randomisation, randomisation_table
from payattention.evaluation.comparison.scoring import Scores, Scoring, scored
from payattention.evaluation.comparison.sources import COMBINED, Kind, Source, sources
from payattention.evaluation.comparison.verdict import JUDGED, Margin, margins, verdict
from payattention.evaluation.metrics import FURTHER, METRICS, Metric
from payattention.evaluation.result import ClassResult, of_pictures
from payattention.models import Classifier
from payattention.models.evaluating import evaluating
from payattention.models.rewrites.fold import quick
from payattention.system.machine import chosen_device
from payattention.system.names import check_known
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
        intervals: By metric, the mean's 95 % interval in per cent; None where the pictures are too few for one.
        milliseconds: A picture, for all maps of its method together, the forward pass among them.
    """

    name: str
    method: str
    kind: Kind
    pictures: int
    scores: Mapping[str, float | None]
    intervals: Mapping[str, Interval | None]
    milliseconds: float

    def cell(self, metric: str) -> str | None:
        """The mean with half the width of its interval."""
        mean, found = self.scores[metric], self.intervals[metric]
        if mean is None:
            return None
        return f"{mean:.1f}" + ("" if found is None else f" ±{(found.high - found.low) / 2:.1f}")


@dataclass(frozen=True, kw_only=True)
class Comparison(ClassResult):
    """The table and what it says.

    Attributes:
        model: The network's name.
        without_object: How many of them have an empty mask.
        costly: Pictures of what takes many forward passes.
        costly_asked: How many these would be, had there been the time.
        minutes: The bound on the time, if there was one.
        rows: The table.
        margins: By metric and other row, how far the trained combined map lies above it.
        verdict: That in words.
        answers: Which map answers which question best.
        left_out: A line for each method that could not be measured.
        baseline: Of the methods that take pixels away; None for each one's own.
        notes: What to bear in mind of some rows, a line each.
        further: Columns that were asked for; the scores of all rows are with the others.
        randomisation: A second table: does a map follow the model?
        maps: By row, those of the first pictures (n, h, w), to be looked at; the pictures are in the order in which
            `payattention.data.parts.in_turn` takes them.
    """

    model: str
    without_object: int
    costly: int
    costly_asked: int
    minutes: float | None
    rows: tuple[Row, ...]
    margins: Mapping[str, Mapping[str, Margin]]
    verdict: str
    answers: tuple[Answer, ...]
    left_out: tuple[str, ...]
    baseline: str | None
    notes: tuple[str, ...]
    further: tuple[str, ...]
    randomisation: tuple[Randomised, ...]
    maps: Mapping[str, Tensor] = of_pictures()

    def report(self) -> Iterator[Table | str]:
        columns = ("map", "kind", "pictures", *(metric.heading for metric in METRICS.values()), "ms a picture")
        rows = [(row.name, row.kind, row.pictures, *map(row.cell, METRICS), row.milliseconds) for row in self.rows]
        yield Table(columns, rows, f"{self.model} on {self.data}, {self.split}: % (arrows point to the better)")
        if self.further:
            columns = ("map", "kind", *(FURTHER[name].heading for name in self.further))
            cells = [(row.name, row.kind, *map(row.cell, self.further)) for row in self.rows]
            yield Table(columns, cells, "further columns: %")
        yield from self.remarks()
        if self.randomisation:
            yield randomisation_table(self.randomisation)
        yield from (f"left out: {line}" for line in self.left_out)
        yield from in_words(self.answers)
        yield self.verdict

    def remarks(self) -> Iterator[str]:
        """What a reader of the table ought to know, a line each."""
        yield "± is half the width of the mean's 95 % interval over pictures (bootstrap)."
        yield self.spent()
        if self.without_object:
            yield (
                f"{self.without_object:,} of {self.count:,} pictures have no object, or no mask: pointing, energy "
                "and pixel AP leave them out, and in Jaccard any mask found there counts 0."
            )
        yield from (f"note: {line}" for line in self.notes)

    def spent(self) -> str:
        """On how many pictures that was measured which takes many forward passes, and why."""
        methods = dict.fromkeys(row.method for row in self.rows if row.pictures < self.count)
        further = (FURTHER[name].title for name in self.further if FURTHER[name].costly)
        what = ", ".join(["Deletion and insertion", *further, *methods])
        measured = f"{what}: {self.costly:,} of {self.count:,} pictures, evenly from the classes"
        if self.costly == self.costly_asked:
            return f"{measured} (--costly)." if self.costly < self.count else f"{measured}."
        return f"{measured}; {self.costly_asked:,} would have taken longer than {self.minutes:g} minutes (--minutes)."


def compare(
    model: Classifier,
    data: ImageSet,
    *,
    methods: Sequence[str] | None = None,
    baseline: str | None = None,
    costly: int | Bound = 100,
    metrics: Sequence[str] = (),
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
        costly: At most so many pictures for what takes many forward passes, or a bound in pictures and in minutes for
            all of it together.
        metrics: Further columns: names of `payattention.evaluation.metrics.FURTHER`, or "all".
        tolerance: Of the pointing game, in pixels.
        seed: Of the random maps, and of what is drawn anew.
        console: Where progress is shown.

    Raises:
        UsageError: A set without masks, an unknown metric, or a method that is unknown or impossible here.
        DataError: A set whose masks are all empty.
    """
    data, difference = known_part(data, model.classes)
    empty = check_has_objects(data)
    sources(model, methods, seed, baseline)  # refuses what is impossible before anything is computed
    further = further_metrics(metrics)
    watch, device = Stopwatch(), chosen_device()
    bound = Bound(costly) if isinstance(costly, int) else costly
    folded = quick(model)
    found, left_out = sources(folded, methods, seed, baseline)
    with evaluating(folded, device):
        notes = _notes(found, data, device)
        _warm_up(folded, data, device)
        done = scored(Scoring(folded, device, tolerance, further), found, data, bound, console)
        alike, lost = randomisation(folded, done.whole(found), data, device, seed, console)
    return Comparison(
        model=model.name,
        data=data.name,
        split=data.split,
        source=data.source,
        count=len(data),
        without_object=empty,
        costly=done.costly,
        costly_asked=min(bound.pictures, len(data)),
        minutes=bound.minutes,
        left_out=(*left_out, *done.broken.values(), *lost),
        baseline=baseline,
        notes=notes,
        randomisation=alike,
        provenance=watch.provenance(device, seed),
        further=further,
        **_told([*done.rows.values()], further),
        **asdict(difference),
    )


def further_metrics(names: Sequence[str]) -> tuple[str, ...]:
    """The further metrics that are asked for, each once, "all" by its members.

    Raises:
        UsageError: An unknown name.
    """
    asked = [member for name in names for member in (FURTHER if name == "all" else [name])]
    check_known("further metric", ["all", *FURTHER], *asked)
    return tuple(name for name in FURTHER if name in asked)


def check_has_objects(data: ImageSet) -> int:
    """How many pictures of a set have an empty mask.

    Raises:
        UsageError: A set without masks.
        DataError: All masks are empty.
    """
    if data.masks is None:
        raise without_masks(data.name)
    empty = int((~data.has_object).sum())
    if empty == len(data):
        raise DataError(f"{data.name}: the masks of all {empty} pictures of the {data.split} split are empty")
    return empty


def _told(rows: Sequence[Scores], further: Sequence[str]) -> dict[str, Any]:
    """What a comparison tells of the scores."""
    kinds = {row.name: row.source.kind for row in rows}
    above = {metric: margins({row.name: row.of(metric) for row in rows}, kinds) for metric in JUDGED}
    means = {metric: _mean(row.of(metric)) for row in rows if row.name == COMBINED for metric in JUDGED}
    return {
        "rows": tuple(_row(scores, further) for scores in rows),
        "margins": above,
        "verdict": verdict(above, means),
        "answers": answers(rows, further),
        "maps": {row.name: row.maps for row in rows},
    }


def _row(scores: Scores, further: Sequence[str]) -> Row:
    columns = {**METRICS, **{name: FURTHER[name] for name in further}}
    return Row(
        name=scores.name,
        method=scores.source.title,
        kind=scores.source.kind,
        pictures=scores.pictures,
        scores={name: _score(metric, scores.of(name)) for name, metric in columns.items()},
        intervals={name: _interval(metric, scores.of(name)) for name, metric in columns.items()},
        milliseconds=round(1000 * scores.seconds / scores.pictures, 3),
    )


def _score(metric: Metric, scores: Tensor) -> float | None:
    if metric.of_set is None:
        return _mean(scores)
    found = metric.of_set(scores)
    return None if math.isnan(found) else per_cent(found, 2)


def _interval(metric: Metric, scores: Tensor) -> Interval | None:
    found = interval(scores) if metric.of_set is None else None  # which is known of means
    return None if found is None else Interval(per_cent(found.low, 2), per_cent(found.high, 2))


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
