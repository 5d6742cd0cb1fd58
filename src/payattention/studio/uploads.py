"""The gate of what people upload: a picture that may be shown, or one line that says why not.

What a name says is only ever shown: no file is called as the uploader calls it. Archives pass through
`payattention.studio.archives`.
"""

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from payattention.errors import DataError
from payattention.pictures.drawing import fitted
from payattention.pictures.kinds import unread_kind
from payattention.pictures.reading import decode_picture, quiet, size_in
from payattention.system.text import readable

MIB = 2**20
_LONGEST = 80  # characters of a name


@dataclass(frozen=True)
class Limits:
    """What one upload may be.

    Attributes:
        upload: Bytes of any file, as it comes.
        picture: Bytes of a picture, as a file or within an archive.
        pixels: Of a picture, in its file.
        side: Pixels of a picture's longer side, as it is kept: what is larger is shrunk.
        entries: What an archive holds, files and folders.
        unpacked: Bytes of all pictures of an archive.
    """

    upload: int = 256 * MIB
    picture: int = 48 * MIB
    pixels: int = 64_000_000
    side: int = 2048
    entries: int = 20_000
    unpacked: int = 1024 * MIB


LIMITS = Limits()


@dataclass(frozen=True)
class Uploaded:
    """A picture that was let in.

    Attributes:
        picture: Upright, in 8 bits, its longer side at most `Limits.side`.
        name: What to call it on the page: never a path.
        size: Its upright width and height in the file.
    """

    picture: Image.Image
    name: str
    size: tuple[int, int]


def picture_from(upload: Path | bytes, name: str = "", *, limits: Limits = LIMITS, channels: int = 3) -> Uploaded:
    """Reads an uploaded picture within the limits.

    Args:
        upload: The file as it lies here, or its bytes.
        name: What the uploader calls it; by default what the file is called.
        limits: What is let in.
        channels: 3 for RGB, 1 for grey, 4 for four bands.

    Raises:
        DataError: Too many bytes or pixels, or whatever `payattention.pictures.reading.decode_picture` refuses.
    """
    name = name_to_show(name or (upload.name if isinstance(upload, Path) else ""))
    content = upload if isinstance(upload, bytes) else _content_of(upload, name, limits.picture)
    _check_bytes(len(content), limits.picture, name)
    if (kind := unread_kind(Path(name))) is not None:
        raise DataError(f"{name}: {kind}")
    with quiet:
        _check_pixels(size_in(io.BytesIO(content)), limits, name)
        read = decode_picture(content, name, near=limits.side // 2, channels=channels)
    _check_pixels(read.size, limits, name)  # a file whose head told nothing
    large = max(read.picture.size) > limits.side
    return Uploaded(fitted(read.picture, limits.side) if large else read.picture, name, read.size)


def name_to_show(name: str) -> str:
    """What an upload is called on the page: the last part of its name, of characters that can be seen, cut short."""
    last = readable(name).replace("\\", "/").rstrip("/").rpartition("/")[2]
    plain = " ".join("".join(sign if sign.isprintable() else " " for sign in last).split())
    if plain.strip(".") == "":
        return "picture"
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 13]}...{plain[-10:]}"


def megabytes(count: float) -> str:
    """A number of bytes in MB, as people read it."""
    return f"{count / MIB:,.0f} MB" if count >= 10 * MIB else f"{max(count / MIB, 0.1):.1f} MB"


def _content_of(file: Path, name: str, most: int) -> bytes:
    """The bytes of a regular file, which is not read where it is too long."""
    try:
        if not file.is_file():
            raise DataError(f"{name}: the upload is no longer there; choose the picture again")
        _check_bytes(file.stat().st_size, most, name)
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{name}: the upload cannot be read ({error.strerror}); choose the picture again") from None


def _check_bytes(count: int, most: int, name: str) -> None:
    if count > most:
        raise DataError(f"{name}: {megabytes(count)}; a picture may have at most {megabytes(most)}: save it smaller")


def _check_pixels(size: tuple[int, int] | None, limits: Limits, name: str) -> None:
    if size is not None and size[0] * size[1] > limits.pixels:
        raise DataError(
            f"{name}: {size[0]:,} x {size[1]:,} pixels; a picture may have at most {limits.pixels:,}: save it smaller"
        )
