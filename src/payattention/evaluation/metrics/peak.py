"""The pointing game: does a map's peak fall on the object? (Zhang et al., 2016)

Higher is better. A hit is a peak within a tolerance, in pixels, of any object of the mask; without an object it is
undefined: NaN. Where several pixels share the maximum, the score is the share of them that hit: what a random one of
them can expect. So a constant map scores as a random point does, and a map of one peak 0 or 1.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from payattention.evaluation.metrics.finite import check_finite
from payattention.evaluation.pointing import dilated


def pointing_hits(maps: Float[Tensor, "n h w"], truth: Bool[Tensor, "n h w"], tolerance: int = 2) -> Float[Tensor, "n"]:
    """Share of each map's peaks that hit.

    Raises:
        PayAttentionError: Maps that are not finite.
    """
    check_finite(maps)
    peak = maps == maps.amax((1, 2), keepdim=True)
    hits = (peak & dilated(truth, tolerance)).sum((1, 2)) / peak.sum((1, 2))
    return torch.where(truth.flatten(1).any(1), hits, torch.nan)
