"""Masks that follow the edges of their pictures: a fully connected conditional random field.

Krähenbühl and Koltun, Efficient Inference in Fully Connected CRFs, 2011. It wants `pydensecrf2`, the extra `crf`. The
paper names it as what could refine its masks (section 6), and gives no settings; these are the usual ones of that
library's examples, with the appearance kernel's reach in proportion to the picture.
"""

from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from payattention.errors import UsageError

_ROUNDS = 5
_SURE = 0.9  # the object's probability where the map is highest; 1 less that where it is lowest
_SMOOTH = {"sxy": 3, "compat": 3}  # reach in pixels, weight
_REACH = 0.16  # of the appearance kernel, in parts of the picture's longer side: 80 px of 500
_APPEARANCE = {"srgb": 13, "compat": 10}  # reach in 8-bit colours, weight


def check_installed() -> None:
    """Raises UsageError where pydensecrf2 is missing."""
    if find_spec("pydensecrf") is None:
        raise UsageError("dense-CRF refinement needs the package pydensecrf2: pip install 'payattention[crf]'")


def refined(picture: Image.Image, heat: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The object's mask, bool (H, W), in place of one that a threshold cut out of a map.

    Args:
        picture: RGB, of the map's size.
        heat: The map, (H, W), in 0 ... 1.
        mask: Where the map lies above the threshold. One of the whole picture, or of nothing, stays as it is.

    Raises:
        UsageError: pydensecrf2 is missing.
    """
    check_installed()
    from pydensecrf.densecrf import DenseCRF2D
    from pydensecrf.utils import unary_from_softmax

    if mask.all() or not mask.any():
        return mask
    threshold = (heat[mask].min() + heat[~mask].max()) / 2  # there, object and background are equally likely
    above = np.interp(heat, (0, threshold, 1), (1 - _SURE, 0.5, _SURE)).astype(np.float32)
    field = DenseCRF2D(picture.width, picture.height, 2)
    field.setUnaryEnergy(np.ascontiguousarray(unary_from_softmax(np.stack([1 - above, above]))))
    field.addPairwiseGaussian(**_SMOOTH)
    field.addPairwiseBilateral(sxy=_REACH * max(picture.size), rgbim=np.array(picture.convert("RGB")), **_APPEARANCE)
    background, thing = np.asarray(field.inference(_ROUNDS)).reshape(2, *heat.shape)
    return thing > background
