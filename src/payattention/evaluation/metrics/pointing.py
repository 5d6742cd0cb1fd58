"""The pointing game: does a map's peak fall on the object? (Zhang et al., 2016)

Higher is better. A hit is a peak within a tolerance, in pixels as the crow flies, of any object of the mask (the paper:
15 px in pictures of full size); without an object it is undefined: NaN. Where several pixels share the maximum, the
score is the share of them that hit: what a random one of them can expect. So a constant map scores as a random point
does, and a map of one peak 0 or 1.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from payattention.evaluation.metrics.checks import check_finite


def pointing_hits(
    maps: Float[Tensor, "n h w"], truth: Bool[Tensor, "n h w"], tolerance: int = 2
) -> Float[Tensor, " n"]:
    """Share of each map's peaks that hit.

    Args:
        maps: On the grid of the masks.
        truth: Masks.
        tolerance: Pixels around the object that still count.

    Raises:
        PayAttentionError: Maps that are not finite.
    """
    check_finite(maps)
    peak = maps == maps.amax((1, 2), keepdim=True)
    hits = (peak & dilated(truth, tolerance)).sum((1, 2)) / peak.sum((1, 2))
    return torch.where(truth.flatten(1).any(1), hits, torch.nan)


def dilated(masks: Bool[Tensor, "n h w"], pixels: int) -> Bool[Tensor, "n h w"]:
    """Masks grown by a disc: all that lies within `pixels` of one of their pixels."""
    reach = torch.arange(-pixels, pixels + 1, device=masks.device)
    disc = reach[:, None] ** 2 + reach**2 <= pixels**2
    return F.conv2d(masks[:, None].float(), disc[None, None].float(), padding=pixels)[:, 0] > 0.5  # rounding errors
