"""How a map's mass is spread: on the object or not, and how widely.

- Energy inside the object: the share of a map's mass that lies on it (Wang et al., 2020: energy-based pointing game).
  Higher is better; 0 ... 1. Maps must not be negative: what is not zero away from the object counts against the map, so
  a map is scored as its method gives it, without stretching. Several objects count as one, their union; without an
  object it is undefined: NaN. A map that is zero everywhere has its mass nowhere in particular and scores the object's
  share of the picture, as a constant map does.
- Entropy: how spread out a map is (Shannon, 1948), as a share of what h*w pixels can have. 0 for a single pixel, 1 for
  a uniform map. Neither end is better: it says how much a map commits itself, right or wrong. It does not look at the
  object.
- Gini index: how unequally the mass is shared out (Gini, 1912; of attributions: Chalasani et al., 2020). 0 for a
  uniform map, 1 - 1/(h*w) for a single pixel. Chalasani et al. want it high, since a short explanation is easily read;
  here neither end is better: a single pixel may be the wrong one.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from payattention.errors import PayAttentionError
from payattention.evaluation.metrics.checks import check_finite


def energy_inside(maps: Float[Tensor, "n h w"], truth: Bool[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """Mass on the object over all mass.

    Raises:
        PayAttentionError: Maps that are not finite, or negative.
    """
    mass = distribution(maps)
    return torch.where(truth.flatten(1).any(1), (mass * truth).sum((1, 2)), torch.nan)


def distribution(maps: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """Each map scaled to sum to 1; a map of zeros becomes uniform.

    Raises:
        PayAttentionError: Maps that are not finite, or negative.
    """
    check_finite(maps)
    if negative := int((maps < 0).flatten(1).any(1).sum()):
        raise PayAttentionError(f"{negative} of {len(maps)} maps hold negative values: cut them at 0 to measure mass")
    maps = torch.where(maps.amax((1, 2), keepdim=True) == 0, 1.0, maps)
    maps = maps / maps.amax((1, 2), keepdim=True)  # sums of tiny or huge values neither vanish nor overflow
    return maps / maps.sum((1, 2), keepdim=True)


def entropy(maps: Float[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """-sum_i p_i log p_i / log(h*w) of each map scaled to sum to 1.

    Raises:
        PayAttentionError: Maps that are not finite, or negative.
    """
    p = distribution(maps)
    return -torch.xlogy(p, p).sum((1, 2)) / math.log(p[0].numel())


def gini(maps: Float[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """1 - 2 sum_k p_(k) (d - k + 1/2) / d, where p_(1) <= ... <= p_(d) are a map's d values scaled to sum to 1.

    A map that is zero everywhere counts as uniform: 0.

    Raises:
        PayAttentionError: Maps that are not finite, or negative.
    """
    p = distribution(maps).flatten(1).double().sort(dim=1).values
    d = p.shape[1]
    richer = torch.arange(d - 0.5, 0, -1, dtype=p.dtype, device=p.device)  # d - k + 1/2
    return (1 - 2 * (p * richer).sum(1) / d).to(maps.dtype)
