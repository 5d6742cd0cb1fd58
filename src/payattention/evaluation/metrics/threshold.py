"""The threshold that would have been best: Jaccard index at each of 101 thresholds, and which to take."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

STEPS = 100
"""A map in 0 ... 1 is cut at 0, 1/100, ..., 1; what is not below the threshold is taken for the object."""


def jaccard_curve(heat: NDArray[np.float32], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Jaccard index of one map (H, W), in 0 ... 1, with its object at every threshold: (101,).

    1 where neither has a pixel, 0 where one of them has none.
    """
    passed = np.floor(heat * STEPS).astype(np.int64).clip(0, STEPS)  # the highest threshold that each pixel reaches
    taken = _at_least(passed.ravel())
    intersection = _at_least(passed[truth])
    union = taken + truth.sum() - intersection
    return np.where(union == 0, 1.0, intersection / np.maximum(union, 1))


def best_threshold(curves: Sequence[NDArray[np.float64]]) -> int:
    """The threshold, in hundredths, with the highest mean over some pictures' curves; the lowest of equals."""
    return int(np.mean(curves, axis=0).argmax())


def _at_least(passed: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many pixels pass each threshold: (101,)."""
    return np.bincount(passed, minlength=STEPS + 1)[::-1].cumsum()[::-1]
