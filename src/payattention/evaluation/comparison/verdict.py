"""Does the trained combined map beat every post-hoc one? Paired differences in pixel AP, and a sentence."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from payattention.evaluation.comparison.sources import COMBINED, Kind
from payattention.system.reporting import per_cent

_LISTED = 3  # of the rows above it


@dataclass(frozen=True)
class Margin:
    """How far the trained combined map lies above another, in points of pixel average precision.

    Attributes:
        points: Mean over the pictures that both were measured on, per cent; negative if it lies below.
        error: Standard error of that mean.
        pictures: How many.
    """

    points: float
    error: float
    pictures: int


def margins(precision: Mapping[str, Tensor], kinds: Mapping[str, Kind]) -> dict[str, Margin]:
    """The margin over each post-hoc row, the smallest first; empty without a trained map.

    Args:
        precision: By row, pixel average precision (n,) of the first n pictures; NaN where there is no object.
        kinds: By row, its kind.
    """
    if COMBINED not in precision:
        return {}
    pairs = {name: _differences(precision[COMBINED], precision[name]) for name in kinds if kinds[name] == "post-hoc"}
    found = {name: _margin(differences) for name, differences in pairs.items() if len(differences)}
    return dict(sorted(found.items(), key=lambda item: item[1].points))


def verdict(above: Mapping[str, Margin], precision: Mapping[str, Tensor]) -> str:
    """The margins in a sentence."""
    if COMBINED not in precision:
        return "No trained map was measured, so there is nothing to hold against the post-hoc ones."
    if not above:
        return "No post-hoc map was measured."
    own = f"The trained combined map ({per_cent(precision[COMBINED].nanmean(), 1)} %)"
    better = {name: margin for name, margin in above.items() if margin.points <= 0}
    if not better:
        name, nearest = next(iter(above.items()))
        return (
            f"{own} beats every post-hoc row in pixel average precision; the nearest, {name}, lies "
            f"{_points(nearest)} below it."
        )
    listed = ", ".join(f"{name} by {_points(margin)}" for name, margin in list(better.items())[:_LISTED])
    others = f", and {len(better) - _LISTED} others" if len(better) > _LISTED else ""
    return f"{own} does not beat every post-hoc row in pixel average precision. Above it: {listed}{others}."


def _differences(own: Tensor, other: Tensor) -> Tensor:
    """In points, of the pictures that both were measured on and that have an object."""
    both = min(len(own), len(other))
    differences = 100 * (own[:both] - other[:both]).double()
    return differences[~differences.isnan()]


def _margin(differences: Tensor) -> Margin:
    count = len(differences)
    error = differences.std().item() / count**0.5 if count > 1 else 0.0
    return Margin(round(differences.mean().item(), 2), round(error, 2), count)


def _points(margin: Margin) -> str:
    return f"{abs(margin.points):.1f} ± {margin.error:.1f} points ({margin.pictures:,} pictures)"
