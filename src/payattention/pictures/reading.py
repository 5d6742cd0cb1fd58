"""Reading one picture, whatever it is, upright and in 8 bits: a file, its bytes, or what Pillow opened.

As RGB; as grey, or as four bands, where that is asked for (`payattention.pictures.channels`).
"""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from payattention.errors import DataError, UsageError
from payattention.pictures.channels import as_rgb, four_bands, is_tiff, pixels_of, with_channels
from payattention.pictures.depth import has_16_bit_colours, warn_if_dark
from payattention.pictures.kinds import formats, lacks_heif, not_read, unread_kind
from payattention.pictures.metadata import bare, how_to_turn, swaps_sides
from payattention.system.names import Registry
from payattention.system.text import shown

MAX_PIXELS = 100_000_000
"""Larger pictures are refused as decompression bombs."""

_LARGE = 16_000_000  # pixels; of such pictures one is decoded at a time, so that threads do not multiply the memory
_one_large = threading.Lock()
_FEW_VALUES = 8


@dataclass(frozen=True)
class Decoded:
    """A picture, and its upright width and height in the file: the decoder may have shrunk it already."""

    picture: Image.Image
    size: tuple[int, int]


def read_picture(source: Path | bytes | Image.Image, name: str = "", *, channels: int = 3) -> Image.Image:
    """Decodes a picture: upright by its EXIF, transparency on white, the first frame of an animation.

    A picture that was opened already comes out as its file would. Other metadata is neither read nor kept.

    Args:
        source: A file, its bytes, or a picture.
        name: What to call it in an error; the file's name by default.
        channels: 3 for RGB, 1 for grey, 4 for four bands.

    Raises:
        UsageError: Another number of channels.
        DataError: Missing, empty, cut off, too large, not a picture, or without four bands that are asked for.

    Warns:
        UserWarning: Pixels of more than 8 bits that come out as one grey.
    """
    with quiet:
        if isinstance(source, Image.Image):
            return upright(source, name or getattr(source, "filename", "") or "picture", channels=channels).picture
        return decode_picture(source, name, channels=channels).picture


class _Quiet:
    """Silences Pillow, which warns of large pictures and odd metadata: the bounds here are ours.

    Python keeps one list of warning filters for all threads: the first one that comes in silences it, and the last
    one that goes out gives the filters back.
    """

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"(PIL|pillow_heif)\b")
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._filters.__exit__(kind, error, trace)


quiet = _Quiet()
"""A context for any number of threads."""


def decode_picture(source: Path | bytes, name: str = "", near: int | None = None, channels: int = 3) -> Decoded:
    """`read_picture` for a thread: call it under `quiet`.

    With `near`, a large JPEG is shrunk while it is decoded, to a shorter side of at least twice as many pixels: that
    bounds memory and time, and what is lost no later resizing to `near` would show.
    """
    name = name or (shown(source) if isinstance(source, Path) else "picture")
    if isinstance(source, Path) and source.is_file() and (kind := unread_kind(source)) is not None:
        raise DataError(f"{name}: {kind}")  # of a camera's raw file Pillow would read the thumbnail
    content = _bytes_of(source) if isinstance(source, Path) else source
    if not content:
        raise DataError(f"{name}: the file is empty")
    if lacking := lacks_heif(content):
        raise DataError(f"{name}: {lacking}")
    if channels == 4 and is_tiff(content):
        bands = four_bands(content, name, MAX_PIXELS)
        return Decoded(bands, bands.size)
    try:
        return _decoded(content, name, near, channels)
    except UnidentifiedImageError:
        problem = DataError(f"{name}: {not_read(content)}")
    except DataError as error:
        problem = error
    without_metadata = bare(content)
    if without_metadata is None:
        raise problem
    try:
        return _decoded(without_metadata, name, near, channels)
    except (UnidentifiedImageError, DataError):
        raise problem from None


def _decoded(content: bytes, name: str, near: int | None, channels: int) -> Decoded:
    with _told(name):
        picture = Image.open(io.BytesIO(content), formats=formats())
    return upright(picture, name, near, channels)


def upright(picture: Image.Image, name: str, near: int | None = None, channels: int = 3) -> Decoded:
    """An opened picture as `decode_picture` gives it; the picture itself stays as it is, but that it is loaded.

    Raises:
        DataError: Damaged, too large, or without pixels.
    """
    pixels = picture.width * picture.height
    if not pixels:
        raise DataError(f"{name}: it has no pixels ({picture.width}x{picture.height})")
    if pixels > MAX_PIXELS:
        raise _bomb(name, f"{picture.width}x{picture.height} is")
    with _told(name), _one_large if pixels > _LARGE else nullcontext():
        full = picture.size
        if near is not None:
            picture.draft(None, (2 * near, 2 * near))
        shrunk = picture.size != full
        cut = has_16_bit_colours(picture)
        picture.load()
        turn = how_to_turn(picture)
        plain = with_channels(picture if channels == 4 else as_rgb(picture, name), channels, name)
        if cut:
            warn_if_dark(plain, name)
        plain.info = {}  # else whoever reads it again would turn it again
        plain = plain if turn is None else plain.transpose(turn)
        return Decoded(plain, (full[::-1] if swaps_sides(turn) else full) if shrunk else plain.size)


@contextmanager
def _told(name: str) -> Iterator[None]:
    """What a decoder may raise, as one line."""
    try:
        yield
    except (
        UnidentifiedImageError,
        DataError,
        UsageError,
        UserWarning,
    ):  # a warning is an error to whoever asked for that
        raise
    except Image.DecompressionBombError:
        raise _bomb(name, "it has") from None
    except Exception as error:  # a damaged file can raise nearly anything from a decoder
        raise DataError(f"{name}: damaged picture ({error})") from None


def size_in(file: Path | io.BytesIO) -> tuple[int, int] | None:
    """Width and height of a picture as its file's head has them, before it is turned; None where Pillow cannot tell."""
    with quiet:
        try:
            with Image.open(file, formats=formats()) as opened:
                return opened.size
        except Exception:  # as of a decoder
            return None


def read_mask(path: Path, foreground: int | None = None) -> NDArray[np.bool_]:
    """An object mask, bool (H, W): where pixels have the value `foreground`, or any but 0 (a JPEG: above half).

    Call it under `quiet`.

    Raises:
        DataError: Missing, damaged or too large; `NotAMaskError` where it is a photograph.
    """
    try:
        picture = Image.open(io.BytesIO(_bytes_of(path)), formats=formats())
        if picture.width * picture.height > MAX_PIXELS:
            raise _bomb(shown(path), f"{picture.width}x{picture.height} is")
        lossy = picture.format == "JPEG"
        values = np.asarray(picture if picture.mode in ("1", "L", "P", "I", "I;16") else picture.convert("L"))
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{shown(path)}: damaged mask ({error})") from None
    if is_photograph(values):
        raise NotAMaskError(
            f"{shown(path)}: a photograph, by its many values; a mask has few: 0 where no object is, and another on it"
        )
    if foreground is not None:
        return values == foreground
    return values > (127 if lossy else 0)


class NotAMaskError(DataError):
    """A picture where its object's mask should be."""


def is_photograph(values: NDArray[Any]) -> bool:
    """Whether a picture's values (H, W) are too many, and too evenly spread, for a mask's or for labels'.

    Soft edges and a JPEG's errors leave most of a mask's pixels at a few values, and a good part of them at 0. So told,
    all of 598 masks of the Oxford pets are masks, also blurred or as JPEG, 99.7 % of the pictures photographs, and 95 %
    of Caltech-101's, some of which are drawings on white.
    """
    counts = np.sort(np.unique(values, return_counts=True)[1])[::-1] / values.size
    commonest = counts[:_FEW_VALUES].sum()
    spread = commonest < 0.4 or (commonest < 0.75 and (values == 0).mean() < 0.1)
    return len(counts) > 4 * _FEW_VALUES and bool(spread)


def _center(picture: Image.Image, size: int, resampling: Image.Resampling) -> Image.Image:
    return ImageOps.fit(picture, (size, size), resampling)


def _squash(picture: Image.Image, size: int, resampling: Image.Resampling) -> Image.Image:
    return picture.resize((size, size), resampling)


CROP_MODES = Registry("crop mode", {"center": _center, "squash": _squash})
"""How a picture becomes a square, in timm's words: the shorter side is scaled to it and the centre is cut out, or the
whole picture is squeezed into it."""


def to_size(picture: Image.Image, size: int, crop_mode: str = "center") -> NDArray[np.uint8]:
    """A picture as a square of so many pixels, uint8 (size, size, channels); `crop_mode` is a name of `CROP_MODES`."""
    if picture.size != (size, size):
        picture = CROP_MODES[crop_mode](picture, size, Image.Resampling.BICUBIC)
    return pixels_of(picture)


def mask_to_size(mask: NDArray[np.bool_], size: int, crop_mode: str = "center") -> NDArray[np.bool_]:
    """What `to_size` does to a picture, done to its mask: bool (size, size)."""
    picture = Image.fromarray(mask.astype(np.uint8))
    return np.asarray(CROP_MODES[crop_mode](picture, size, Image.Resampling.NEAREST)) > 0


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{shown(path)}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{shown(path)}: a folder, not a picture") from None
    except OSError as error:
        raise DataError(f"{shown(path)}: cannot be read ({error.strerror})") from None


def _bomb(name: str, has: str) -> DataError:
    return DataError(f"{name}: {has} more than {MAX_PIXELS // 10**6} million pixels")
