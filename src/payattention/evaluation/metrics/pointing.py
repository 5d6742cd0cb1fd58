"""The pointing game: does a map's peak fall on the object? (Zhang et al., 2016)

Higher is better. A hit is a peak within a tolerance, in pixels, of any object of the mask; without an object it is
undefined: NaN. Where several pixels share the maximum, the score is the share of them that hit: what a random one of
them can expect. So a constant map scores as a random point does, and a map of one peak 0 or 1.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from payattention.evaluation.metrics.checks import check_finite


def pointing_hits(maps: Float[Tensor, "n h w"], truth: Bool[Tensor, "n h w"], tolerance: int = 2) -> Float[Tensor, "n"]:
    """Share of each map's peaks that hit.

    Raises:
        PayAttentionError: Maps that are not finite.
    """
    check_finite(maps)
    peak = maps == maps.amax((1, 2), keepdim=True)
    hits = (peak & dilated(truth, tolerance)).sum((1, 2)) / peak.sum((1, 2))
    return torch.where(truth.flatten(1).any(1), hits, torch.nan)


def dilated(masks: Bool[Tensor, "n h w"], pixels: int) -> Bool[Tensor, "n h w"]:
    """Masks grown by `pixels` in each of the eight directions."""
    grown = F.max_pool2d(masks[:, None].float(), 2 * pixels + 1, stride=1, padding=pixels)
    return grown[:, 0] > 0


def hit(points: Tensor, targets: Bool[Tensor, "n h w"]) -> Bool[Tensor, "n"]:
    """Whether each point (n, 2; row and column) lies in its target."""
    return targets[torch.arange(len(points)), points[:, 0], points[:, 1]]
