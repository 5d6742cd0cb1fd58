"""The tables at a scale that a few cores can pay: what differs from them, and what the order of the errors is worth.

All networks are trained alike, narrow and shortly, so that an error is to be held against those beside it and not
against the published one. Whether the networks stand in the published order is told by the rank correlation; whether a
claim holds, by the mean difference between the networks that it speaks of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from payattention.reproduce.jobs import Departures
from payattention.reproduce.tables import Claim

SCALES: Mapping[str, Departures] = MappingProxyType({"small": Departures(width=0.125, recipe="small")})
"""What differs from the tables' settings, by the scale's name."""

LEAST = 5
"""Networks whose order is worth a word."""
_RESAMPLES = 2000
_TAILS = (2.5, 97.5)  # per cent
_SEED = 0
_TWO_SIDED = 1.96  # deviations: the middle 95 % of a normal distribution


class Order(NamedTuple):
    """Spearman's rank correlation of our numbers with the published ones, and its 95 % interval over networks."""

    networks: int
    correlation: float
    low: float
    high: float


@dataclass(frozen=True)
class Measured:
    """An error in per cent, its deviation over seeds where there are several, and how many test pictures it is of."""

    error: float
    pictures: int
    deviation: float | None = None
    seeds: int = 1

    @property
    def variance(self) -> float:
        """Of the mean over seeds: that of the pictures (binomial), and that of the seeds where it is known."""
        of_pictures = self.error * (100 - self.error) / self.pictures
        return of_pictures + (0.0 if self.deviation is None else self.deviation**2 / self.seeds)


@dataclass(frozen=True)
class Verdict:
    """What was measured of a claim.

    Attributes:
        text: The claim.
        pairs: Pairs of networks that were measured, of so many that the claim speaks of.
        of: So many.
        points: By how much the one that is said to be better is better, mean over the pairs, in points of error.
        margin: Half of the 95 % interval of that, as if each network had test pictures of its own.
    """

    text: str
    pairs: int
    of: int
    points: float
    margin: float

    @property
    def word(self) -> str:
        if abs(self.points) <= self.margin:
            return "cannot be told"
        return "holds" if self.points > 0 else "does not hold"


def order(ours: Sequence[float], published: Sequence[float]) -> Order | None:
    """How well our numbers stand in the published order; None for fewer than `LEAST` networks.

    The interval is the bootstrap's (Efron, 1979; percentiles): the networks are drawn anew, with replacement.

    Args:
        ours: A number for each network.
        published: As many, of the same networks.
    """
    if len(ours) < LEAST:
        return None
    pairs = np.array([ours, published])
    random = np.random.default_rng(_SEED)
    drawn = random.integers(0, len(ours), (_RESAMPLES, len(ours)))
    correlations = [_spearman(*pairs[:, places]) for places in drawn]
    low, high = np.nanpercentile(correlations, _TAILS)
    return Order(len(ours), _spearman(*pairs), float(low), float(high))


def verdict(claim: Claim, measured: Mapping[str, Measured]) -> Verdict | None:
    """What measured networks say of a claim; None where no pair of it was measured.

    A network's error counts once, however many pairs it is in, so that the interval is that of the mean over pairs.

    Args:
        claim: The claim.
        measured: By the row's name.
    """
    pairs = [pair for pair in claim.pairs if all(row in measured for row in pair)]
    if not pairs:
        return None
    share: dict[str, float] = {}
    for better, worse in pairs:
        share[better] = share.get(better, 0.0) - 1 / len(pairs)
        share[worse] = share.get(worse, 0.0) + 1 / len(pairs)
    points = sum(part * measured[row].error for row, part in share.items())
    margin = _TWO_SIDED * sqrt(sum(part**2 * measured[row].variance for row, part in share.items()))
    return Verdict(claim.text, len(pairs), len(claim.pairs), points, margin)


def _spearman(ours: np.ndarray, published: np.ndarray) -> float:
    """Pearson's correlation of the ranks, ties at their mean rank; not a number where one side does not vary.

    So a draw of one network alone is passed by; scipy's own would warn of it.
    """
    a, b = (rankdata(side) - (len(side) + 1) / 2 for side in (ours, published))
    spread = sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / spread if spread else float("nan")
