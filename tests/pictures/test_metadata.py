"""A picture's pixels are read whatever stands beside them."""

import random
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

from payattention.errors import DataError
from payattention.pictures.reading import decode_picture, quiet, read_picture
from tiny import encoded, pixels

PIXELS = pixels(height=8, width=12)
ORIENTATION, RATIO, CAMERA = 0x0112, 0x011A, 0x8769


def _exif() -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION], exif[RATIO], exif[0x010F] = 6, IFDRational(72), "a maker"
    exif.get_ifd(CAMERA)[0x9003] = "2020:01:01 00:00:00"
    return exif.tobytes()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_never_costs_the_pixels(kind: str) -> None:
    """500 times some of its bytes are others; nothing but the way up may depend on them."""
    drawn, good = random.Random(0), _exif()
    plain = np.asarray(read_picture(encoded(PIXELS, kind)))
    ways_up = [np.rot90(plain, k).tobytes() for k in range(4)] + [
        np.rot90(plain[:, ::-1], k).tobytes() for k in range(4)
    ]
    for _ in range(500):
        exif = bytearray(good)
        for _ in range(drawn.randint(1, 6)):
            exif[drawn.randrange(6, len(exif))] = drawn.randrange(256)
        read = read_picture(encoded(PIXELS, kind, exif=bytes(exif)))
        assert np.asarray(read).tobytes() in ways_up


def test_an_exif_value_that_cannot_be_written_back() -> None:
    """Pillow's own way of turning a picture writes the metadata anew."""
    exif = bytearray(_exif())
    ratio = exif.index(struct.pack(">HH", RATIO, 5))
    exif[ratio + 2 : ratio + 4] = struct.pack(">H", 2)  # a ratio that says it is text
    jpeg = encoded(PIXELS, "JPEG", exif=bytes(exif))
    assert read_picture(jpeg).size == (8, 12)


@pytest.mark.parametrize("place", [0, 1, 7, 8, 10**6, 2**32 - 1])
def test_a_tiff_whose_exif_lies_nowhere(place: int) -> None:
    tags = ImageFileDirectory_v2()
    tags[CAMERA], tags[ORIENTATION] = {0x9003: "2020"}, 6
    tiff = bytearray(encoded(PIXELS, "TIFF", tiffinfo=tags))
    order = "<" if tiff.startswith(b"II") else ">"
    entry = tiff.index(struct.pack(f"{order}H", CAMERA))
    tiff[entry + 8 : entry + 12] = struct.pack(f"{order}I", place)
    with quiet:
        decoded = decode_picture(bytes(tiff))
    assert (np.asarray(decoded.picture) == np.rot90(PIXELS, 3)).all()
    assert decoded.size == (8, 12)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(801, 800), (800, 400)])
def test_the_size_in_the_file_of_a_jpeg_that_is_shrunk_while_it_is_decoded(
    size: tuple[int, int], orientation: int
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    decoded = decode_picture(encoded(Image.new("RGB", size), "JPEG", exif=exif), near=50)
    assert decoded.size == (size if orientation < 5 else size[::-1])
    assert max(decoded.picture.size) < 300


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


@pytest.mark.parametrize(
    "chunk",
    [
        _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(5_000_000))),
        _chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(5_000_000))),
        _chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0no compressed text"),
        _chunk(b"acTL", b""),
        _chunk(b"eXIf", b"nothing"),
        _chunk(b"pHYs", b"1"),
        _chunk(b"gAMA", b""),
    ],
    ids=lambda chunk: chunk[4:8].decode(),
)
def test_chunks_beside_the_pixels_of_a_png(chunk: bytes) -> None:
    png = encoded(PIXELS, "PNG")
    assert (np.asarray(read_picture(png[:33] + chunk + png[33:])) == PIXELS).all()


def test_segments_beside_the_pixels_of_a_jpeg() -> None:
    """Of every number, with every name that a decoder looks for, and then noise."""
    drawn, jpeg = random.Random(0), encoded(PIXELS, "JPEG")
    plain = np.asarray(read_picture(jpeg))
    names = (b"Exif\0\0", b"ICC_PROFILE\0", b"MPF\0", b"Photoshop 3.0\0", b"http://ns.adobe.com/xap/1.0/\0", b"")
    for marker in (*range(0xE1, 0xEE), 0xEF, 0xFE):
        for name in names:
            for length in (0, 1, 2, 9, 40):
                content = name + drawn.randbytes(length)
                segment = bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content
                read = np.asarray(read_picture(jpeg[:2] + segment + jpeg[2:]))
                assert np.array_equal(read, plain), (hex(marker), content)


def test_without_metadata_a_damaged_picture_is_still_damaged() -> None:
    for kind in ("PNG", "JPEG"):
        with pytest.raises(DataError, match="damaged picture"):
            read_picture(encoded(pixels(height=64, width=64), kind)[:-200])


def test_what_pillow_says_of_metadata_is_not_passed_on() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        read_picture(
            encoded(PIXELS, "PNG")[:33] + _chunk(b"acTL", struct.pack(">II", 0, 0)) + encoded(PIXELS, "PNG")[33:]
        )
    assert not said
