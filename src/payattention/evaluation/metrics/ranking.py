"""A map as a ranking of the picture's pixels: are the object's the first of them? No threshold, and no scale.

Higher is better; all lie in 0 ... 1. Several objects in one mask count as one: their union. Without an object pixel
there is nothing to find: NaN. Equal values are never told apart by where they lie, so a constant map scores what
chance does.

- Pixel average precision: the area under precision over recall as the threshold falls through all values of the map
  (Everingham et al., 2010; over pixels: Choe et al., 2020, who pool the pixels of all pictures, as
  `pooled_average_precision` does; here each picture counts alike). A constant map scores the object's share of the
  picture. It forgives nothing at the top of the ranking, and hardly sees the order far below.
- ROC AUC: how often a pixel of the object has a higher value than one beside it, a tie counting half; the area under
  the receiver operating characteristic (Fawcett, 2006). A constant map scores 1/2 whatever the object's size, and a
  small object lifts it: a map that lights ten times the object's area, the object in it, still scores about 0.95 where
  the object is a hundredth of the picture. Undefined, too, where all is object.
- Relevance rank accuracy: of the first K pixels, where K is the object's size, the share that lies on it (Arras et al.,
  2022). What lies below the K first plays no part. Of equal values at the Kth place, the share that can be expected.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from payattention.evaluation.metrics.checks import check_finite


def pixel_average_precision(maps: Float[Tensor, "n h w"], truth: Bool[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """Average precision of each map as a ranking of the picture's pixels; NaN where there is no object pixel.

    Raises:
        PayAttentionError: Maps that are not finite.
    """
    check_finite(maps)
    values, order = maps.flatten(1).sort(dim=1, descending=True)  # (n, h*w)
    hits = truth.flatten(1).gather(1, order).double()  # 1 where the pixel is the object's
    rank = torch.arange(1, hits.shape[1] + 1, device=hits.device)
    precision = hits.cumsum(1) / rank
    # the area is the mean over object pixels of the precision at the threshold that lets them pass
    return ((hits * precision.gather(1, ends_of_ties(values))).sum(1) / hits.sum(1)).to(maps.dtype)


def roc_auc(maps: Float[Tensor, "n h w"], truth: Bool[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """The share of pairs, a pixel of the object and one of the rest, whose order is right (Mann and Whitney's U).

    NaN where there is no object pixel or no other.

    Raises:
        PayAttentionError: Maps that are not finite.
    """
    check_finite(maps)
    object_ = truth.flatten(1).double()  # (n, h*w)
    inside, outside = object_.sum(1), (1 - object_).sum(1)
    won = (middle_ranks(maps.flatten(1)) * object_).sum(1) - inside * (inside + 1) / 2
    return (won / (inside * outside)).to(maps.dtype)


def relevance_rank_accuracy(maps: Float[Tensor, "n h w"], truth: Bool[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """Of as many first pixels as the object has, the share that lies on it; NaN where it has none.

    Raises:
        PayAttentionError: Maps that are not finite.
    """
    check_finite(maps)
    values, object_ = maps.flatten(1), truth.flatten(1)
    size = object_.sum(1, keepdim=True)  # (n, 1)
    last = values.sort(dim=1, descending=True).values.gather(1, (size - 1).clamp_min(0))  # the Kth value
    above, equal = values > last, values == last
    places = size - above.sum(1, keepdim=True)  # of the equal ones, so many are among the first
    expected = above + equal * (places / equal.sum(1, keepdim=True))
    return ((expected * object_).sum(1) / size[:, 0]).to(maps.dtype)


def middle_ranks(values: Float[Tensor, "n p"]) -> Float[Tensor, "n p"]:
    """Each value's place in its row, 1 for the least; equal ones share the mean of their places. Float64."""
    ordered, order = values.sort(dim=1)
    last = ends_of_ties(ordered)
    first = values.shape[1] - 1 - ends_of_ties(ordered.flip(1)).flip(1)
    middle = (first + last).double() / 2 + 1
    return torch.empty_like(middle).scatter_(1, order, middle)


def ends_of_ties(values: Float[Tensor, "n p"]) -> Int[Tensor, "n p"]:
    """For each of the sorted values, the index of the last one that equals it."""
    places = torch.arange(values.shape[1], device=values.device).expand_as(values)
    last = torch.ones_like(values, dtype=torch.bool)
    last[:, :-1] = values[:, :-1] != values[:, 1:]
    ends = torch.where(last, places, values.shape[1])
    return ends.flip(1).cummin(1).values.flip(1)
