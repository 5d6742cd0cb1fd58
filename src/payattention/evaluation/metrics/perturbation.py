"""Deletion and insertion: does the class go and come with a map's first pixels? (RISE: Petsiuk et al., 2018)

Pixels are taken in the map's order, a step of them at a time, and the probability of one class is followed:

- deletion takes them out of the picture, which ends as its mean colour. Lower is better: the class goes at once.
- insertion puts them into a blurred picture, which ends as the picture. Higher is better: the class comes at once.

Both are the area under the probability over the share of pixels (trapezoidal rule), 0 ... 1. They ask what moves *this
network*, not where the object is: masks play no part, and a picture with several objects or none counts like any other.
Equal pixels go in a random order, the same for all maps; so a constant map is a random one.

RISE blurs 224x224 pictures with a Gaussian of 5 px; here the blurred picture has 4x4 pixels, enlarged bilinearly, which
leaves little of the class at any size. Removed pixels make pictures unlike any that the network has seen: read
differences between maps, not absolute numbers.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from payattention.evaluation.metrics.checks import check_finite
from payattention.posthoc.baselines import blurred, mean_colour

Classify = Callable[[Tensor], Tensor]
"""Images (n, channels, h, w) to probabilities (n, C)."""


class Areas(NamedTuple):
    """Areas (n,) under the deletion and the insertion curve."""

    deletion: Tensor
    insertion: Tensor


def perturbation_areas(
    classify: Classify,
    images: Float[Tensor, "n channels h w"],
    labels: Int[Tensor, " n"],
    maps: Float[Tensor, "n h w"],
    steps: int = 16,
) -> Areas:
    """Both areas for each picture and map; 2 (steps + 1) forward passes.

    Args:
        classify: Gives probabilities.
        images: Values in [0, 1].
        labels: The class that is followed.
        maps: On the pictures' grid.
        steps: Into so many equal parts the pixels are divided.

    Raises:
        PayAttentionError: Maps that are not finite.
    """
    check_finite(maps)
    places = ranks(maps)[:, None]  # (n, 1, h, w)
    grey = mean_colour(images)
    blurry = blurred(images)
    removed, added = [], []
    for step in range(steps + 1):
        first = places < step * maps[0].numel() / steps
        removed.append(classify(torch.where(first, grey, images)).gather(1, labels[:, None]))
        added.append(classify(torch.where(first, images, blurry)).gather(1, labels[:, None]))
    return Areas(*(torch.trapezoid(torch.cat(curve, dim=1), dx=1 / steps) for curve in (removed, added)))


def ranks(maps: Float[Tensor, "n h w"]) -> Int[Tensor, "n h w"]:
    """The place of each pixel when a map's pixels are sorted, the highest first; equal ones in a random order."""
    flat = maps.flatten(1)
    shuffle = torch.randperm(flat.shape[1], generator=torch.Generator().manual_seed(0)).to(maps.device)
    order = shuffle[flat[:, shuffle].argsort(dim=1, descending=True, stable=True)]  # (n, h*w)
    return order.argsort(dim=1).view(maps.shape)
