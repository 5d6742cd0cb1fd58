"""What a picture file holds beside its pixels: of that only the orientation matters, and nothing may get in the way."""

from PIL import Image

_ORIENTATION = 0x0112  # of EXIF
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_QUARTERS = (
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
)
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_JPEG_COLOURS = (0xE0, 0xEE)  # JFIF, and Adobe's word on how colours are stored; other segments of 0xE1 ... 0xEF go


def how_to_turn(picture: Image.Image) -> Image.Transpose | None:
    """What makes a picture upright by its EXIF; None where it is, or where that cannot be read."""
    try:
        return _UPRIGHT.get(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata can raise nearly anything
        return None


def swaps_sides(turn: Image.Transpose | None) -> bool:
    """Whether a picture lies on its side before it is turned that way."""
    return turn in _QUARTERS


def bare(content: bytes) -> bytes | None:
    """A PNG or JPEG file without its metadata; None for other files, and for one that is too damaged to tell."""
    if content.startswith(_PNG):
        return _bare_png(content)
    return _bare_jpeg(content) if content.startswith(b"\xff\xd8\xff") else None


def _bare_png(content: bytes) -> bytes:
    kept, place = [_PNG], len(_PNG)
    while place + 8 <= len(content):
        end = place + 12 + int.from_bytes(content[place : place + 4])  # length, name, content, checksum
        if content[place + 4 : place + 8] in _PNG_PIXELS:
            kept.append(content[place:end])
        place = end
    return b"".join(kept)


def _bare_jpeg(content: bytes) -> bytes | None:
    kept, place = [content[:2]], 2
    while content[place : place + 1] == b"\xff" and place + 4 <= len(content):
        marker = content[place + 1]
        if marker == 0xDA:  # the pixels begin
            return b"".join([*kept, content[place:]])
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4])
        if marker in _JPEG_COLOURS or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(content[place:end])
        place = end
    return None
