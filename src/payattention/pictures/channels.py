"""How many channels a picture has: one (grey), three (RGB), or four bands, as of a satellite or with alpha.

Four bands are told from RGB with transparency by who asks: read for a network of four channels, RGBA is four bands as
they are, else it is laid on white. Pillow's mode RGBX holds them, since it scales each band by itself.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from payattention.errors import DataError, UsageError
from payattention.pictures.depth import eight_bits, is_deep, shallow

_MODES = {1: "L", 3: "RGB", 4: "RGBX"}
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def check_channels(channels: int) -> None:
    """Raises UsageError for a number of channels that no picture is read with."""
    if channels not in _MODES:
        raise UsageError(
            f"pictures are read with 1 channel (grey), 3 (RGB) or 4 (four bands), not {channels}: "
            f"give the model tensors (n, {channels}, height, width) in 0 ... 1 yourself, by model.attend(images)"
        )


def as_rgb(picture: Image.Image, name: str) -> Image.Image:
    """A picture of any mode, a palette's too, in 8 bits of RGB; what shines through it is white."""
    if is_deep(picture):  # Pillow's own conversion clips instead of scaling
        return shallow(picture, name).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def with_channels(picture: Image.Image, channels: int, name: str = "picture") -> Image.Image:
    """A picture with so many channels: colours become grey by their brightness, and grey becomes three times the same.

    Args:
        picture: Of 8 bits, without transparency (but where its four bands are asked for).
        channels: 1, 3 or 4.
        name: What to call it in an error.

    Raises:
        UsageError: Another number of channels.
        DataError: Four are asked for, and it has fewer.
    """
    check_channels(channels)
    mode = _MODES[channels]
    if picture.mode == mode:
        return picture
    if channels == 4:
        if picture.mode == "RGBA":
            return Image.merge(mode, picture.split())
        raise DataError(
            f"{name}: it has {len(picture.getbands())} channels, and 4 are asked for: give an RGBA picture, a TIFF of "
            "four bands, or an array (H, W, 4)"
        )
    return (picture.convert("RGB") if picture.mode == "RGBX" else picture).convert(mode)


def pixels_of(picture: Image.Image) -> NDArray[np.uint8]:
    """A picture of `with_channels` as an array (H, W, channels)."""
    pixels = np.asarray(picture)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def picture_from(pixels: NDArray[np.uint8]) -> Image.Image:
    """What `pixels_of` was given; an array (H, W, 1), (H, W, 3) or (H, W, 4)."""
    if pixels.shape[2] == 1:
        return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0]))
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return with_channels(picture, pixels.shape[2])


def visible(pixels: NDArray[np.uint8]) -> Image.Image:
    """Pixels (H, W, channels) as RGB to be looked at: the first three channels, or the first as grey."""
    channels = pixels.shape[2]
    return picture_from(pixels[:, :, : 3 if channels >= 3 else 1]).convert("RGB")


def is_tiff(content: bytes) -> bool:
    """Whether a file's content is a TIFF."""
    return content.startswith(_TIFF)


def four_bands(content: bytes, name: str, most: int) -> Image.Image:
    """A TIFF's four bands, which Pillow would cut to three, or not read at all.

    Args:
        content: The file's.
        name: What to call it in an error.
        most: Pixels that it may have at most.

    Raises:
        DataError: Damaged, too large, or not of four bands.
    """
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            series = file.series[0]
            shape = series.shape
            if len(shape) == 3 and 4 in (shape[0], shape[2]) and np.prod(shape) <= 4 * most:
                bands = np.asarray(series.asarray())
                bands = bands if shape[2] == 4 else bands.transpose(1, 2, 0)
                return picture_from(bands if bands.dtype == np.uint8 else eight_bits(bands, name))
    except Exception as error:  # a damaged file can raise nearly anything from a decoder
        raise DataError(f"{name}: its bands cannot be read ({str(error).strip().partition(chr(10))[0]})") from None
    raise DataError(f"{name}: a TIFF of shape {shape}, and one of four bands is asked for, (H, W, 4) or (4, H, W)")
