"""Reading one picture file, whatever it is, as upright 8-bit RGB."""

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from payattention.errors import DataError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
MAX_PIXELS = 100_000_000
"""Larger pictures are refused as decompression bombs."""


def read_picture(source: Path | bytes, name: str = "") -> Image.Image:
    """Decodes a picture: EXIF rotation applied, transparency on white, the first frame of an animation.

    Args:
        source: A file, or its bytes.
        name: What to call it in an error; the file's name by default.

    Raises:
        DataError: Missing, empty, cut off, too large or not a picture.
    """
    name = name or str(source)
    if isinstance(source, Path):
        source = _bytes_of(source)
    if not source:
        raise DataError(f"{name}: the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures and odd metadata; the bound is ours
            picture = Image.open(io.BytesIO(source))
            if picture.width * picture.height > MAX_PIXELS:
                raise DataError(
                    f"{name}: {picture.width}x{picture.height} is more than {MAX_PIXELS // 10**6} million pixels"
                )
            picture.load()
            return _rgb(ImageOps.exif_transpose(picture))
    except UnidentifiedImageError:
        raise DataError(f"{name}: not a picture (no format that Pillow knows)") from None
    except DataError:
        raise
    except Exception as error:  # a damaged file can raise nearly anything from a decoder
        raise DataError(f"{name}: damaged picture ({error})") from None


def to_size(picture: Image.Image, size: int) -> NDArray[np.uint8]:
    """Shrinks or enlarges until the shorter side is `size` and cuts the centre square: uint8 (size, size, 3)."""
    if picture.size != (size, size):
        picture = ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: a folder, not a picture") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":  # 16-bit: Pillow's own conversion clips instead of scaling
        values = np.asarray(picture, np.float64)
        top = 65535 if picture.mode.startswith("I;16") or values.max(initial=0) > 255 else 255
        return Image.fromarray((values / top * 255).clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")
