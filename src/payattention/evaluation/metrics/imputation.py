"""Filling the gaps of a picture so that they can hardly be seen: linear imputation (Rong et al., 2022).

Each missing pixel becomes the weighted mean of its eight neighbours, 1/6 for those beside it and 1/12 for those across
from it. Missing neighbours count, too, so that all are found at once: one linear equation for each missing pixel.
"""

from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, eye_array, kron
from scipy.sparse.linalg import splu
from torch import Tensor


def imputed(images: Float[Tensor, "n c h w"], missing: Bool[Tensor, "n h w"]) -> Float[Tensor, "n c h w"]:
    """Pictures in which each missing pixel is the weighted mean of its neighbours, without noise.

    At a picture's border the weights of the neighbours that there are count alone.

    Args:
        images: Any values.
        missing: At least one pixel of each picture is known.
    """
    weights = _neighbours(images.shape[2], images.shape[3])
    values = images.flatten(2).transpose(1, 2).cpu().double().numpy()  # (n, h*w, c)
    gaps = missing.flatten(1).cpu().numpy()  # (n, h*w)
    filled = np.stack([_filled(picture, gap, weights) for picture, gap in zip(values, gaps, strict=True)])
    return torch.from_numpy(filled).transpose(1, 2).reshape(images.shape).to(images)


def _filled(values: NDArray[np.float64], gap: NDArray[np.bool_], weights: csr_array) -> NDArray[np.float64]:
    """One picture (h*w, c): for all missing i, (sum_j w_ij) x_i - sum_(j missing) w_ij x_j = sum_(j known) w_ij x_j."""
    if not gap.any():
        return values
    rows = weights[gap]
    system = diags_array(rows.sum(1)) - rows[:, gap]
    filled = values.copy()
    filled[gap] = splu(system.tocsc()).solve(rows[:, ~gap] @ values[~gap])
    return filled


@cache
def _neighbours(height: int, width: int) -> csr_array:
    """The weights w_ij of each pixel's neighbours, (h*w, h*w)."""
    rows, columns = (diags_array([1.0, 2.0, 1.0], offsets=[-1, 0, 1], shape=(side, side)) for side in (height, width))
    weights = csr_array(kron(rows, columns) - 4 * eye_array(height * width))  # a pixel is no neighbour of its own
    weights.eliminate_zeros()
    return weights / 12
