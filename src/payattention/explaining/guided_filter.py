"""Maps that follow the edges of their pictures: the guided filter (He, Sun and Tang, 2013), in its fast form (2015).

In each small window a map becomes a linear function of the picture's colours, a c + b, as near to the map as it can be
while a stays small. Where the picture has an edge the map then has one too, and where it has none the map stays smooth.
The windows' a and b are found on a small copy of the picture, averaged, and enlarged.

A map of a few cells is brought to an object's outline; nothing is found that the map did not point to.
"""

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image

from payattention.attention.maps import upsampled
from payattention.pictures.drawing import fitted

_SIDE = 320  # pixels of the small copy's longer side
_REACH = 0.1  # half a window's side, in parts of the longer side; chosen on maps of 9x9 and 18x18 cells
_EPS = 1e-3  # of colours in 0 ... 1: a window whose deviation is under 0.03 counts as of one colour


def guided(picture: Image.Image, heat: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """A map at a picture's size, in 0 ... 1, brought to the picture's edges.

    Args:
        picture: RGB.
        heat: Of its height and width, float32 in 0 ... 1.
    """
    small = fitted(picture, min(_SIDE, max(picture.size)))
    size = (small.height, small.width)
    coarse = _resized(heat, size)
    slopes, offset = coefficients(_colours(small), coarse, max(1, round(_REACH * max(size))), _EPS)
    refined = _resized(offset, heat.shape)
    for slope, band in zip(np.moveaxis(slopes, 2, 0), picture.convert("RGB").split(), strict=True):
        refined += _resized(slope, heat.shape) * (np.asarray(band, np.float32) / np.float32(255))
    return refined.clip(0, 1)


def coefficients(
    guide: Float[np.ndarray, "h w c"], values: Float[np.ndarray, "h w"], radius: int, eps: float
) -> tuple[Float[np.ndarray, "h w c"], Float[np.ndarray, "h w"]]:
    """Each pixel's a and b, means over the windows that hold it (equations 8, 19 and 20 of the paper).

    Args:
        guide: The picture's colours.
        values: What is filtered.
        radius: Of the square windows, in pixels; at the border they are cut off.
        eps: The penalty on a.
    """
    colours, value = np.asarray(guide, np.float64), np.asarray(values, np.float64)[:, :, None]
    mean, mean_value = _mean(colours, radius), _mean(value, radius)
    covariance = _mean(colours * value, radius) - mean * mean_value  # (h, w, c)
    outer = (colours[:, :, :, None] * colours[:, :, None]).reshape(*guide.shape[:2], -1)  # (h, w, c * c)
    spread = _mean(outer, radius).reshape(*guide.shape, -1) - mean[:, :, :, None] * mean[:, :, None]
    solved = np.linalg.solve(spread + eps * np.eye(guide.shape[2]), covariance[..., None])
    slopes: NDArray[np.float64] = solved[..., 0].astype(np.float64)
    offset = mean_value - (slopes * mean).sum(2, keepdims=True)
    return _mean(slopes, radius).astype(np.float32), _mean(offset, radius)[:, :, 0].astype(np.float32)


def _mean(values: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """Over the window about each pixel, of (h, w, c)."""
    from scipy.ndimage import uniform_filter

    window = (2 * radius + 1, 2 * radius + 1, 1)
    inside = uniform_filter(np.ones((*values.shape[:2], 1)), window, mode="constant")
    mean: NDArray[np.float64] = uniform_filter(values, window, mode="constant") / inside
    return mean


def _colours(picture: Image.Image) -> NDArray[np.float32]:
    return np.asarray(picture.convert("RGB"), np.float32) / np.float32(255)


def _resized(values: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    resized: NDArray[np.float32] = upsampled(torch.from_numpy(values)[None], (size[0], size[1]))[0].numpy()
    return resized
