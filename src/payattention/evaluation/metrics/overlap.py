"""How far a map above a threshold is the object: the Jaccard index, intersection over union.

Higher is better; 0 ... 1. Several objects in one mask count as one: their union. Where neither mask nor object has a
pixel it is 1, where only one of them has, 0.

- Of Otsu's mask, as in the paper's segmentation experiment (section A.4).
- The threshold that would have been best: the Jaccard index at each of 101 thresholds, and which to take.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from payattention.attention.maps import otsu_mask
from payattention.evaluation.metrics.checks import check_finite

STEPS = 100
"""A map in 0 ... 1 is cut at 0, 1/100, ..., 1; what is not below the threshold is taken for the object."""
_THRESHOLDS = np.linspace(0, 1, STEPS + 1).astype(np.float32)  # as a map holds them: in float32, 100 * .29 is below 29


def jaccard(masks: Bool[Tensor, "n h w"], truth: Bool[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """Intersection over union of each pair of masks; 1 if both are empty, 0 if one is."""
    intersection = (masks & truth).sum((1, 2))
    union = (masks | truth).sum((1, 2))
    return torch.where(union == 0, 1.0, intersection / union.clamp_min(1))


def otsu_masks(maps: Float[Tensor, "n h w"]) -> Bool[Tensor, "n h w"]:
    """Where each map lies above Otsu's threshold (256 bins, scikit-image).

    A constant map prefers no pixel to another and gives the whole picture, as it does at any threshold that leaves a
    pixel at all; so `all_ones` is the baseline "everything is object". (An `Explanation` shows no mask for it.)

    Raises:
        PayAttentionError: Maps that are not finite.
    """
    check_finite(maps)
    masks = torch.stack([otsu_mask(heat) for heat in maps.detach().cpu()]) if len(maps) else maps.bool()
    constant = maps.amin((1, 2)) == maps.amax((1, 2))  # (n,)
    return masks.to(maps.device) | constant[:, None, None]


def jaccard_curve(heat: NDArray[np.float32], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Jaccard index of one map (H, W), in 0 ... 1, with its object at every threshold: (101,).

    1 where neither has a pixel, 0 where one of them has none.
    """
    passed = np.searchsorted(_THRESHOLDS, heat, side="right") - 1  # the highest threshold that each pixel reaches
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
