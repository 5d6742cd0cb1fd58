"""Weakly supervised localisation, scored over a whole set: MaxBoxAccV2 and pooled pixel AP (Choe et al., 2020).

A box or a mask needs a threshold, and no value of it is fair to all kinds of maps. So a kind of map is taken at all
thresholds, the same for all pictures: the accuracy of its boxes at the best of them, the area under precision and
recall over all of them. Higher is better; both lie in 0 ... 1. Each map is stretched to 0 ... 1 first, and a constant
one to 0, as the authors do.

Such a score is no mean over pictures, so each has two halves: what a picture has to say, a row of a tensor (n, ...),
and the number that comes of all rows together.

- MaxBoxAcc: a picture is right where a box round one of the pieces that lie above the threshold overlaps the object's
  box by enough; the share that is right, at the best threshold; its mean over overlaps (intersection over union) of
  30, 50 and 70 % (V2). Pieces touch at sides or corners. Several objects count as one, as everywhere here: the box is
  round their union (the authors take any of the annotated boxes). A picture without an object is left out. The best
  threshold is found on the very pictures that are scored, which flatters a little, all maps alike; and a box says
  nothing about shape: all of it may be background.
- Pooled pixel average precision (PxAP): the pixels of all pictures in one ranking. Unlike the mean over pictures it
  asks for *one* scale: a map has to be as bright on the object of one picture as on that of another. Large objects
  count for more, and pixels of pictures without an object count as background. Values within a thousandth are equal.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from payattention.attention.maps import stretched
from payattention.evaluation.metrics.checks import check_finite

STEPS = 100
"""A map in 0 ... 1 is cut at 0, 1/100, ..., 99/100; what lies above is taken for the object."""
OVERLAPS = (0.3, 0.5, 0.7)
"""Least overlaps of a right box: those of MaxBoxAccV2; the first version, MaxBoxAcc, takes 0.5 alone."""
BINS = 1000
"""Values that pooled pixel AP tells apart."""
_TOUCHING = np.ones((3, 3))


def box_overlaps(maps: Float[Tensor, "n h w"], truth: Bool[Tensor, "n h w"]) -> Float[Tensor, "n steps"]:
    """How far the best box at each threshold overlaps the object's; NaN where there is no object.

    Raises:
        PayAttentionError: Maps that are not finite.
    """
    check_finite(maps)
    pairs = zip(stretched(maps).cpu().numpy(), truth.cpu().numpy(), strict=True)
    overlaps = [_best_overlaps(heat, mask) if mask.any() else np.full(STEPS, np.nan) for heat, mask in pairs]
    return torch.from_numpy(np.stack(overlaps).astype(np.float32)) if overlaps else maps.new_zeros(0, STEPS)


def max_box_accuracy(overlaps: Float[Tensor, "n steps"], least: Sequence[float] = OVERLAPS) -> float:
    """MaxBoxAccV2 of a set from the `box_overlaps` of its pictures; NaN where none has an object.

    Args:
        overlaps: Of all pictures.
        least: The overlaps from which on a box is right; the mean over them is taken.
    """
    known = overlaps[~overlaps.isnan().any(1)]  # pictures with an object
    right = torch.stack([(known >= share).double().mean(0) for share in least])  # (overlaps, steps)
    return right.amax(1).mean().item()


def value_counts(maps: Float[Tensor, "n h w"], truth: Bool[Tensor, "n h w"]) -> Int[Tensor, "n 2 bins"]:
    """How many pixels of each value a picture has, beside the object and on it; rows may be added up as one pleases.

    Raises:
        PayAttentionError: Maps that are not finite.
    """
    check_finite(maps)
    bins = (stretched(maps) * BINS).long().clamp_max(BINS - 1)  # (n, h, w)
    picture = torch.arange(len(maps), device=maps.device)[:, None, None]
    places = (2 * picture + truth) * BINS + bins
    return torch.bincount(places.flatten(), minlength=len(maps) * 2 * BINS).view(-1, 2, BINS)


def pooled_average_precision(counts: Int[Tensor, "n 2 bins"]) -> float:
    """PxAP of a set from the `value_counts` of its pictures; NaN where none has an object."""
    beside, hits = counts.sum(0).flip(1).double().cumsum(1)  # of the pixels that pass each threshold
    precision = hits / (beside + hits).clamp_min(1)
    return (torch.diff(hits, prepend=hits.new_zeros(1)) * precision).sum().div(hits[-1]).item()


def _best_overlaps(heat: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The overlap of the best box of one map (h, w) with the object's box: (steps,)."""
    from scipy.ndimage import label

    (target,) = _boxes(mask.astype(np.int32))  # one piece, wherever its parts lie
    pieces = (label(heat > k / STEPS, structure=_TOUCHING)[0] for k in range(STEPS))
    return np.array([_overlaps(_boxes(found), target).max(initial=0.0) for found in pieces])


def _boxes(pieces: NDArray[np.int32]) -> NDArray[np.int64]:
    """Top, left, bottom and right of each numbered piece (k, 4); what is at the bottom and right lies outside."""
    from scipy.ndimage import find_objects

    found = [(y.start, x.start, y.stop, x.stop) for y, x in find_objects(pieces)]
    return np.array(found, np.int64).reshape(-1, 4)


def _overlaps(boxes: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.float64]:
    """Intersection over union of each box with another: (k,)."""
    sides = np.minimum(boxes[:, 2:], target[2:]) - np.maximum(boxes[:, :2], target[:2])
    common = sides.clip(0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (target[2:] - target[:2]).prod()
    return np.asarray(common / (areas - common))
