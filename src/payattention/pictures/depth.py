"""Pixels of more than 8 bits as 8-bit pixels: which value is white?

What the file says (a TIFF of 12 bits, or one that names its greatest value), else the greatest value that there is: a
12-bit picture in a 16-bit file is as bright as it should be. Floats that stay within 0 ... 1 are taken as that range.
Whole numbers of a type that no 16-bit file has (int32, int64) are taken as they are where they fit into 8 bits. Where
values are negative, the least one is black.
"""

import warnings
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BITS, _GREATEST = 258, 341  # of TIFF: BitsPerSample, SMaxSampleValue (281, MaxSampleValue, is but a statistic)
_WHOLE_BYTES = (8, 16, 32, 64)
_OF_12_BITS = 16  # the upper 8 of 16 bits are below it


def is_deep(picture: Image.Image) -> bool:
    """Whether a picture has more than 8 bits a colour: Pillow's modes I, I;16 (in any order of bytes) and F."""
    return picture.mode.startswith("I") or picture.mode == "F"


def shallow(picture: Image.Image, name: str) -> Image.Image:
    """A deep picture in 8-bit grey.

    Warns:
        UserWarning: It comes out as one grey, which it was not.
    """
    return Image.fromarray(eight_bits(np.asarray(picture), name, _said(picture)))


def eight_bits(values: NDArray[Any], name: str, white: float | None = None) -> NDArray[np.uint8]:
    """Values of any range as 0 ... 255, rounded; NaN and infinite ones are black.

    Args:
        values: Whole numbers or floats, of any shape.
        name: What to call them in a warning.
        white: The value that becomes 255, where something says so.

    Warns:
        UserWarning: Different ones all come out alike.
    """
    known = np.nan_to_num(values.astype(np.float64), nan=0, posinf=0, neginf=0)
    low, high = min(0.0, known.min(initial=0)), known.max(initial=0)
    white = white if white is not None and white >= high else _white(values.dtype, high)
    scaled = np.rint((known - low) / ((white - low) or 1) * 255).astype(np.uint8)
    if np.ptp(scaled) == 0 and np.ptp(values) != 0:  # NaN is another value, too
        _warn(
            f"{name}: its pixels, {known.min():g} to {high:g}, all come out as one grey, so that what a model says of "
            "it means nothing"
        )
    return scaled


def has_16_bit_colours(picture: Image.Image) -> bool:
    """Whether a file, not loaded yet, has 16 bits in each of several colours: Pillow keeps the upper 8 of them."""
    return any(";16" in str(tile[3]) for tile in getattr(picture, "tile", ())) and not is_deep(picture)


def warn_if_dark(picture: Image.Image, name: str) -> None:
    """Warns of a picture whose 16-bit colours use at most 12 bits, once."""
    if np.asarray(picture).max() < _OF_12_BITS:
        _warn(
            f"{name}: no more than 12 bits of its 16-bit colours are used, so that it is read as nearly black; "
            "save it in 8 bits"
        )


def _white(dtype: np.dtype[Any], high: float) -> float:
    if dtype.kind == "f":
        return max(high, 1.0)
    return high if high > 255 or (dtype.kind, dtype.itemsize) == ("u", 2) else 255.0


def _said(picture: Image.Image) -> float | None:
    """The value that is white by the file's own words."""
    tags = getattr(picture, "tag_v2", {})
    greatest, bits = (np.ravel(tags.get(tag, ())).tolist()[:1] for tag in (_GREATEST, _BITS))
    if greatest and isinstance(greatest[0], int | float):
        return float(greatest[0])
    if bits and bits[0] not in _WHOLE_BYTES and picture.mode != "F":
        return float(2 ** int(bits[0]) - 1)
    return None


@cache
def _warn(line: str) -> None:
    """Once for each picture."""
    warnings.warn(line, stacklevel=3)
