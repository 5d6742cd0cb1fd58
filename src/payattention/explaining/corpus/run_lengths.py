"""Masks as run lengths, as COCO has them: down each column, column by column, first how many pixels lie outside.

`counts` of `[2, 3, 1]` in a picture three pixels high: two pixels outside the object, three inside, one outside. A mask
whose first pixel is inside begins with 0. (COCO's "uncompressed RLE"; pycocotools takes
`{"size": [height, width], "counts": counts}`.)
"""

import numpy as np
from jaxtyping import Bool
from numpy.typing import NDArray


def run_lengths(mask: Bool[np.ndarray, "h w"]) -> NDArray[np.uint32]:
    """The lengths of a mask's runs, in turn outside and inside the object."""
    pixels = mask.ravel(order="F")
    borders = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    begins_inside = [0] if pixels[0] else []
    return np.diff(np.concatenate([begins_inside, [0], borders, [pixels.size]])).astype(np.uint32)


def mask_from(counts: NDArray[np.uint32], height: int, width: int) -> NDArray[np.bool_]:
    """The mask (height, width) of its run lengths."""
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape((height, width), order="F")
