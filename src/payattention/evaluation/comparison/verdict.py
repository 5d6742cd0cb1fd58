"""Does the trained combined map beat the others? Paired differences with their intervals, and a sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from payattention.evaluation.comparison.intervals import interval
from payattention.evaluation.comparison.sources import COMBINED, GAUSSIAN, Kind
from payattention.evaluation.metrics import METRICS

JUDGED = ("average_precision", "pointing")
"""The metrics that maps are held against each other by."""
_LISTED = 3  # rows

Standing = Literal["above", "not told from", "below", "too few"]
_WORDS: Mapping[Standing, str] = {
    "below": "It lies below",
    "not told from": "It is not told from",
    "too few": "The pictures are too few to tell it from",
}


@dataclass(frozen=True)
class Margin:
    """How far one map lies above another, in points (per cent), on the pictures that both were measured on.

    Attributes:
        points: Mean over these pictures; negative if it lies below.
        low: Of its 95 % interval; None where the pictures are too few for one.
        high: The same.
        pictures: How many.
    """

    points: float
    low: float | None
    high: float | None
    pictures: int

    @property
    def standing(self) -> Standing:
        """What the interval says: it lies above 0, or below 0, or holds it."""
        if self.low is None or self.high is None:
            return "too few"
        return "above" if self.low > 0 else "below" if self.high < 0 else "not told from"

    def __str__(self) -> str:
        between = "" if self.low is None or self.high is None else f", {self.low:+.1f} to {self.high:+.1f}"
        return f"{self.points:+.1f} points{between}, {self.pictures:,} picture{'s' * (self.pictures != 1)}"


def margin(own: Tensor, other: Tensor) -> Margin | None:
    """How far a row of scores (n,) lies above another (m,), both 0 ... 1; None where no picture has both."""
    both = min(len(own), len(other))
    differences = 100 * (own[:both] - other[:both]).double()
    known = differences[~differences.isnan()]
    if not len(known):
        return None
    found = interval(known)
    low, high = (None, None) if found is None else (round(found.low, 2), round(found.high, 2))
    return Margin(round(known.mean().item(), 2), low, high, len(known))


def margins(scores: Mapping[str, Tensor], kinds: Mapping[str, Kind]) -> dict[str, Margin]:
    """The combined map's margin over each post-hoc row and the centred Gaussian, the smallest first.

    Empty without a trained map.

    Args:
        scores: By row, of one metric, 0 ... 1 and the higher the better, of the first n pictures; NaN where there is
            no object.
        kinds: By row, its kind.
    """
    if COMBINED not in scores:
        return {}
    others = [name for name, kind in kinds.items() if kind == "post-hoc" or name == GAUSSIAN]
    found = {name: margin(scores[COMBINED], scores[name]) for name in others}
    return dict(sorted(((k, v) for k, v in found.items() if v is not None), key=lambda item: item[1].points))


def verdict(above: Mapping[str, Mapping[str, Margin]], means: Mapping[str, float | None]) -> str:
    """The margins in a few sentences a metric.

    Args:
        above: By metric and row, the combined map's margins.
        means: By metric, the combined map's mean in per cent; empty without a trained map.
    """
    if not means:
        return "No trained map was measured, so there is nothing to hold against the post-hoc ones."
    if not any(name != GAUSSIAN for rows in above.values() for name in rows):
        return "No post-hoc map was measured."
    return " ".join(_sentences(METRICS[metric].title, rows, means[metric]) for metric, rows in above.items())


def _sentences(metric: str, rows: Mapping[str, Margin], mean: float | None) -> str:
    own = f"In {metric} the trained combined map ({0 if mean is None else mean:.1f} %)"
    standings = [row.standing for row in rows.values()]
    if standings.count("above") == len(rows):
        name, nearest = next(iter(rows.items()))
        return f"{own} beats every other; the nearest is {name}: {nearest}."
    said = f"{own} beats {standings.count('above')} of {len(rows)} others."
    for standing, words in _WORDS.items():
        if standing in standings:
            said += f" {words} {_listed([(name, row) for name, row in rows.items() if row.standing == standing])}."
    return said


def _listed(rows: Sequence[tuple[str, Margin]]) -> str:
    more = len(rows) - _LISTED
    return ", ".join(f"{name} ({row})" for name, row in rows[:_LISTED]) + (f" and {more} more" if more > 0 else "")
