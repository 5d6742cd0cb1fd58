"""Entropy: how spread out a map is (Shannon, 1948), as a share of what h*w pixels can have.

0 for a single pixel, 1 for a uniform map. Neither end is better: it says how much a map commits itself, right or
wrong. It does not look at the object.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from payattention.evaluation.metrics.energy import distribution


def entropy(maps: Float[Tensor, "n h w"]) -> Float[Tensor, "n"]:
    """-sum_i p_i log p_i / log(h*w) of each map scaled to sum to 1.

    Raises:
        PayAttentionError: Maps that are not finite, or negative.
    """
    p = distribution(maps)
    return -torch.xlogy(p, p).sum((1, 2)) / math.log(p[0].numel())
