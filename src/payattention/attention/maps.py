"""What is done with attention maps: bringing them to one grid, combining levels, peaks and masks."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor


def upsampled(maps: Float[Tensor, "n h w"], size: tuple[int, int]) -> Float[Tensor, "n H W"]:
    """Maps on a grid of another size, bilinearly; height and width in pixels."""
    return F.interpolate(maps[:, None], size, mode="bilinear", align_corners=False)[:, 0]


def enlarged(maps: Float[Tensor, "n h w"], size: tuple[int, int]) -> Float[Tensor, "n H W"]:
    """Maps at a picture's height and width, to be looked at: bicubically, which shows no kinks at the grid's lines.

    Nothing is added: no value leaves a map's own range, in which a bicubic curve alone would not stay, and a constant
    map stays constant. For measuring, maps are `upsampled`.
    """
    # antialiased is Catmull and Rom's curve (a = -0.5), as Pillow has it; PyTorch's own (a = -0.75) swings further
    large = F.interpolate(maps[:, None], size, mode="bicubic", align_corners=False, antialias=True)[:, 0]
    low, high = maps.amin((1, 2)), maps.amax((1, 2))
    return large.clamp_(low[:, None, None], high[:, None, None])


def stretched(maps: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """Each map shifted and scaled to the range 0 ... 1; a constant map becomes 0."""
    low = maps.amin((1, 2), keepdim=True)
    span = maps.amax((1, 2), keepdim=True) - low
    return (maps - low) / span.clamp_min(torch.finfo(maps.dtype).tiny)


_PART = 1 << 20  # values
FLAT = 0.1
"""A map is nearly flat where its values differ by less than this share of the greatest."""


def contrast(maps: Float[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """By how much each map's values differ, as a share of the greatest: 0 ... 1 for values >= 0; 0 for a map of 0."""
    low, high = maps.amin((1, 2)), maps.amax((1, 2))
    return (high - low) / high.abs().clamp_min(torch.finfo(maps.dtype).tiny)


def is_flat(maps: Float[Tensor, "n h w"]) -> Bool[Tensor, " n"]:
    """Whether each map hardly tells one place from another: a contrast below `FLAT`."""
    return contrast(maps) < FLAT


def drawable(maps: Float[Tensor, "n h w"], size: tuple[int, int]) -> Float[Tensor, "n H W"]:
    """Maps at a picture's height and width, in 0 ... 1: stretched, but one that is nearly flat only in its proportion.

    Stretched to the full, a sigmoid map from .4962 to .5006 would look like a strong opinion.
    """
    strength = (contrast(maps) / FLAT).clamp_max(1)
    heat = enlarged(stretched(maps), size)  # stretched first: the same, and a picture has a thousand times the pixels
    peak = heat.amax((1, 2)).clamp_min(torch.finfo(maps.dtype).tiny)
    return heat.mul_((strength / peak)[:, None, None])


def overlap(one: Float[Tensor, "_ _"], other: Float[Tensor, "_ _"]) -> float:
    """The mass that two maps share, each of a mass of 1, on the coarser grid: from 0, they lie apart, to 1, they agree.

    The sum over positions of the smaller value, or 1 minus the total variation between them. NaN where a map is 0.
    """
    size = (min(one.shape[0], other.shape[0]), min(one.shape[1], other.shape[1]))
    first, second = (F.adaptive_avg_pool2d(map_[None, None], size)[0, 0] for map_ in (one, other))
    return float(torch.minimum(first / first.sum(), second / second.sum()).sum())


def border_shares(maps: Float[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """The share of each map's mass that lies in its outermost cells, 0 ... 1; NaN where a map is 0.

    A grid of two cells a side or fewer is all border.
    """
    return 1 - maps[:, 1:-1, 1:-1].sum((1, 2)) / maps.sum((1, 2))


def on_one_grid(maps: Sequence[Float[Tensor, "n _ _"]]) -> list[Float[Tensor, "n H W"]]:
    """Maps on the finest grid among theirs."""
    height = max(level.shape[1] for level in maps)
    width = max(level.shape[2] for level in maps)
    return [upsampled(level, (height, width)) for level in maps]


def alike(maps: Sequence[Float[Tensor, "n _ _"]]) -> list[Float[Tensor, "n H W"]]:
    """Maps on one grid, each brought to a mean of 1, so that none outweighs another; one of zeros stays so."""
    tiny = torch.finfo(maps[0].dtype).tiny
    return [map_ / map_.mean((1, 2), keepdim=True).clamp_min(tiny) for map_ in on_one_grid(maps)]


def joint(maps: Sequence[Float[Tensor, "n _ _"]], root: bool = True) -> Float[Tensor, "n H W"]:
    """The last two levels as one map: their product on the finer grid, and its square root.

    This is the combination of the paper's segmentation experiment (section A.4), which leaves the resampling open.

    Args:
        maps: From low to high; a single level is taken as it is.
        root: False for progressive attention (PAN), whose levels are multiplied already.
    """
    last = maps[-2:]
    if len(last) == 1:
        return last[0]
    lower, upper = on_one_grid(last)
    product = lower * upper
    return product.sqrt() if root else product


def combined(maps: Sequence[Float[Tensor, "n _ _"]], root: bool = True) -> Float[Tensor, "n H W"]:
    """`joint`, stretched to 0 ... 1."""
    return stretched(joint(maps, root))


def peaks(maps: Float[Tensor, "n h w"]) -> Int[Tensor, "n 2"]:
    """Row and column of each map's maximum, the first of equals."""
    flat = maps.flatten(1).argmax(dim=1)
    return torch.stack([flat // maps.shape[2], flat % maps.shape[2]], dim=1)


def otsu_mask(heat: Float[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """Where a map lies above Otsu's threshold; nowhere if it is constant."""
    if heat.min() == heat.max():
        return torch.zeros_like(heat, dtype=torch.bool)
    return heat > otsu_threshold(heat.numpy())


def otsu_threshold(values: NDArray[np.floating], bins: int = 256) -> float:
    """The value that parts others into the two classes whose means lie furthest apart (N. Otsu, 1979).

    That of scikit-image to rounding, whose import would be a tenth of a command's start.

    Args:
        values: Any shape; not all the same.
        bins: The threshold is the centre of one of so many equal intervals between the least and the greatest value.
    """
    reach = float(values.min()), float(values.max())
    edges = np.histogram_bin_edges((), bins, reach)
    # in float64, since in float32 a map that is all but flat has no room for bins; in parts, since it may be large; by
    # PyTorch, since NumPy would let no other thread work meanwhile
    parts = torch.from_numpy(values).flatten().split(_PART)
    counts = torch.stack([torch.histc(part.double(), bins, *reach) for part in parts]).sum(0).numpy()
    centres = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts)[:-1], np.cumsum(counts * centres)
    above = values.size - below
    between = below * above * (total[:-1] / below - (total[-1] - total[:-1]) / above) ** 2
    return float(centres[np.argmax(between)])
