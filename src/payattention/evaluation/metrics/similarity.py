"""How alike two maps of one picture are.

- Rank correlation (Spearman, 1904): of the two orders of the pixels, from 1, the same, over 0, none has to do with the
  other, to -1, turned round. Equal pixels share the mean of their places. A second map that is constant has no order:
  0; where the first, which is asked about, is constant, nothing can be said: NaN. All pixels count alike, so two maps
  with one peak in common and a different noise elsewhere are not alike.
- Structural similarity (Wang et al., 2004: SSIM; scikit-image): the mean over small windows of how far
  brightness, contrast and pattern agree, of maps stretched to 0 ... 1; 1 for the same. Constant maps are all alike.
  Maps that are dark but for a spot are alike by what is dark: with small peaks it is near 1 wherever they lie.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from payattention.attention.maps import stretched
from payattention.errors import UsageError
from payattention.evaluation.metrics.checks import check_finite
from payattention.evaluation.metrics.ranking import middle_ranks

Similarity = Callable[[Tensor, Tensor], Tensor]
"""Maps (n, h, w) and others to (n,)."""
_WINDOW = 7  # pixels, as scikit-image has it


def rank_correlation(maps: Float[Tensor, "n h w"], others: Float[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """Spearman's correlation of each pair of maps.

    Raises:
        PayAttentionError: Maps that are not finite.
    """
    check_finite(maps)
    check_finite(others)
    ranks = [middle_ranks(each.flatten(1).cpu()) for each in (maps, others)]  # float64, which not every device has
    one, other = (each - (each.shape[1] + 1) / 2 for each in ranks)
    sizes = one.norm(dim=1) * other.norm(dim=1)  # 0 where a map is constant
    correlation = (one * other).sum(1) / torch.where(sizes > 0, sizes, 1.0)
    return torch.where(one.any(1), correlation, torch.nan).to(maps)


def structural_similarity(maps: Float[Tensor, "n h w"], others: Float[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """SSIM of each pair of maps, in windows of 7x7.

    Raises:
        PayAttentionError: Maps that are not finite.
        UsageError: Maps of less than 7x7.
    """
    from skimage.metrics import structural_similarity as ssim

    check_finite(maps)
    check_finite(others)
    if min(maps.shape[1:]) < _WINDOW:
        raise UsageError(f"maps of {maps.shape[2]}x{maps.shape[1]} are too small for windows of 7x7: enlarge them")
    pairs = zip(stretched(maps).cpu().numpy(), stretched(others).cpu().numpy(), strict=True)
    return torch.tensor([ssim(one, other, data_range=1.0) for one, other in pairs]).to(maps)
