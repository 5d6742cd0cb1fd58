"""Pictures of more than 8 bits: what is white, and a word where nothing can be seen."""

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from payattention.pictures.reading import read_picture
from tiny import encoded, pixels

RAMP = np.linspace(0, 1, 48).reshape(6, 8)


def levels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture)[..., 0]


def read(values: np.ndarray, kind: str, **options: object) -> np.ndarray:
    return levels(read_picture(encoded(Image.fromarray(values), kind, **options)))


def test_floats_in_0_to_1_are_that_range_and_not_two_greys() -> None:
    by_hand = np.rint(RAMP * 255).astype(np.uint8)
    assert (read(RAMP.astype(np.float32), "TIFF") == by_hand).all()
    assert (read((RAMP / 2).astype(np.float32), "TIFF") == np.rint(RAMP / 2 * 255)).all()  # dark stays dark


@pytest.mark.parametrize("most", [255, 1000, 65_535])
def test_floats_beyond_are_scaled_by_their_greatest(most: float) -> None:
    assert abs(read((RAMP * most).astype(np.float32), "TIFF") - RAMP * 255).max() <= 0.51


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_some_bits_of_a_16_bit_file_are_as_bright_as_they_should_be(bits: int, kind: str) -> None:
    deep = np.rint(RAMP * (2**bits - 1)).astype(np.uint16)
    assert abs(read(deep, kind).astype(int) - RAMP * 255).max() <= 1


def test_what_a_tiff_says_goes_before_its_greatest_value() -> None:
    half = np.rint(RAMP * 2047).astype(np.uint16)
    tags = ImageFileDirectory_v2()
    tags[341] = 4095  # SMaxSampleValue
    assert read(half, "TIFF", tiffinfo=tags).max() == 127
    wrong = ImageFileDirectory_v2()
    wrong[341] = 100
    assert read(half, "TIFF", tiffinfo=wrong).max() == 255


def test_a_tiff_of_12_bits_says_so() -> None:
    """Two values in three bytes; 2047 is half of what 12 bits hold."""
    packed = bytes([0x7F, 0xF7, 0xFF] * 4)  # 4 rows of 2
    entries = [(256, 3, 2), (257, 3, 4), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 0), (277, 3, 1), (278, 3, 4)]
    entries.append((279, 4, len(packed)))
    place = 8 + 2 + 12 * len(entries) + 4
    rows = [struct.pack("<HHII", tag, kind, 1, place if tag == 273 else value) for tag, kind, value in entries]
    tiff = struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + b"".join(rows) + bytes(4) + packed
    assert (levels(read_picture(tiff)) == 127).all()


def test_32_bit_numbers_that_fit_into_8_bits_are_taken_as_they_are() -> None:
    values = np.arange(48, dtype=np.int32).reshape(6, 8)
    assert (read(values, "TIFF") == values).all()


def test_negative_values_begin_at_black() -> None:
    hounsfield = (RAMP * 4000 - 1000).astype(np.float32)
    assert abs(read(hounsfield, "TIFF") - RAMP * 255).max() <= 0.51


def test_nan_and_infinite_pixels_are_black() -> None:
    values = RAMP.astype(np.float32)
    values[0, 0], values[3, 3], values[5, 7] = np.nan, np.inf, -np.inf
    found = read(values, "TIFF")
    assert found[0, 0] == found[3, 3] == found[5, 7] == 0
    assert found.max() == 250


def test_a_picture_that_comes_out_as_one_grey_is_told_of_once(tmp_path: Path) -> None:
    for name in ("narrow.tif", "other.tif"):
        Image.fromarray((1000 + RAMP / 100).astype(np.float32)).save(tmp_path / name)
    for name in ("narrow.tif", "other.tif"):
        with pytest.warns(UserWarning, match=f"{name}: its pixels, 1000 to 1000.01, all come out as one grey"):
            read_picture(tmp_path / name)
    Image.fromarray(np.full((6, 8), 0.5, np.float32)).save(tmp_path / "grey.tif")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_picture(tmp_path / "narrow.tif")
        read_picture(tmp_path / "grey.tif")  # it was one grey before


def _png_of_16_bit_colours(values: np.ndarray) -> bytes:
    """Pillow cannot write one."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_16_bit_colours_that_come_out_nearly_black_are_told_of() -> None:
    """Pillow keeps the upper 8 bits of each, so there is nothing to scale."""
    colours = pixels(height=6, width=8).astype(np.uint16)
    bright = read_picture(_png_of_16_bit_colours(colours * 257))
    assert (np.asarray(bright) == colours).all()
    with pytest.warns(UserWarning, match=r"dim\.png: no more than 12 bits of its 16-bit colours are used"):
        read_picture(_png_of_16_bit_colours(colours * 16), "dim.png")
