"""Masks that follow the edges of their pictures: a fully connected conditional random field.

Krähenbühl and Koltun, Efficient Inference in Fully Connected CRFs, 2011. It wants `pydensecrf2`, the extra `crf`. The
paper names it as what could refine its masks (section 6), and gives no settings. These are so narrow that a mask's
border moves, and a small object does not vanish; reaches in space are in proportion to the picture.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from payattention.system.extras import check_there

_ROUNDS = 5
_SURE = 0.9  # the probability that a pixel is what the mask says
_SMOOTH, _SMOOTH_WEIGHT = 0.006, 1  # reach in parts of the picture's longer side: 3 px of 500
_NEAR, _ALIKE, _APPEARANCE_WEIGHT = 0.05, 5, 10  # reach in parts of the longer side, and in 8-bit colours


def check_installed() -> None:
    """Raises UsageError where pydensecrf2 is missing."""
    check_there("dense-CRF refinement", "pydensecrf")


def refined(picture: Image.Image, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The object's mask, bool (H, W), in place of one that a threshold cut out of a map.

    Args:
        picture: RGB.
        mask: Of the picture's size. One of the whole picture, or of nothing, stays as it is.

    Raises:
        UsageError: pydensecrf2 is missing.
    """
    check_installed()
    from pydensecrf.densecrf import DenseCRF2D
    from pydensecrf.utils import unary_from_softmax

    if mask.all() or not mask.any():
        return mask
    thing = np.where(mask, _SURE, 1 - _SURE).astype(np.float32)
    side = max(picture.size)
    field = DenseCRF2D(picture.width, picture.height, 2)
    field.setUnaryEnergy(np.ascontiguousarray(unary_from_softmax(np.stack([1 - thing, thing]))))
    field.addPairwiseGaussian(sxy=max(1, _SMOOTH * side), compat=_SMOOTH_WEIGHT)
    pixels = np.array(picture.convert("RGB"))
    field.addPairwiseBilateral(sxy=_NEAR * side, srgb=_ALIKE, rgbim=pixels, compat=_APPEARANCE_WEIGHT)
    away, there = np.asarray(field.inference(_ROUNDS)).reshape(2, *mask.shape)
    return there > away
