"""Grey pictures and pictures of four bands, in whatever form they come."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from payattention.data import load_data
from payattention.data.load import in_form
from payattention.data.readers.cluttered_digits import cluttered_digits
from payattention.errors import DataError, UsageError
from payattention.pictures.channels import picture_from, pixels_of, visible
from payattention.pictures.reading import read_picture, to_size
from payattention.pictures.sources import picture_of
from tiny import encoded, pixels

BANDS = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)


def tiff(bands: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, bands, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_grey_is_read_as_it_is_and_colours_by_their_brightness(kind: str) -> None:
    lossless = {"lossless": True} if kind == "WEBP" else {}
    grey, colours = pixels()[..., 0], pixels(1)
    assert (pixels_of(read_picture(encoded(grey, kind, **lossless), channels=1))[..., 0] == grey).all()
    luma = np.rint(colours @ [0.299, 0.587, 0.114])
    found = pixels_of(read_picture(encoded(colours, kind, **lossless), channels=1))[..., 0]
    assert np.abs(found - luma).max() <= 1


def test_a_grey_picture_of_16_bits_and_one_with_transparency() -> None:
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040
    found = pixels_of(read_picture(encoded(Image.fromarray(deep), "PNG"), channels=1))
    assert (found[..., 0] == np.rint(deep / deep.max() * 255)).all()
    clear = np.zeros((8, 8, 4), np.uint8)
    assert (pixels_of(read_picture(encoded(clear, "PNG"), channels=1)) == 255).all()  # laid on white


@pytest.mark.parametrize(
    "content",
    [
        encoded(BANDS, "PNG"),
        encoded(BANDS, "TIFF"),
        tiff(BANDS, photometric="rgb", extrasamples=["unspecified"]),
        tiff(BANDS, photometric="minisblack"),
        tiff(BANDS, photometric="rgb", extrasamples=["unspecified"], compression="zlib"),
        tiff(BANDS.transpose(2, 0, 1), photometric="minisblack", planarconfig="separate"),
    ],
)
def test_four_bands_are_read_as_they_are(content: bytes) -> None:
    """An alpha band is a band: nothing is laid on white, nor mixed with it when the picture is scaled."""
    picture = read_picture(content, channels=4)
    assert (pixels_of(picture) == BANDS).all()
    halved = to_size(picture, 3)
    alone = [to_size(Image.fromarray(BANDS[..., band]), 3)[..., 0] for band in range(4)]
    assert (halved == np.stack(alone, axis=2)).all()


def test_bands_of_16_bits_share_a_scale() -> None:
    deep = BANDS.astype(np.uint16) * 39
    found = pixels_of(read_picture(tiff(deep, photometric="minisblack"), channels=4))
    assert np.abs(found - deep / deep.max() * 255).max() <= 0.5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (encoded(pixels(), "PNG"), "x: it has 3 channels, and 4 are asked for"),
        (encoded(pixels()[..., 0], "PNG"), "x: it has 1 channels, and 4 are asked for"),
        (encoded(pixels(), "TIFF"), r"x: a TIFF of shape \(8, 8, 3\), and one of four bands is asked for"),
        (tiff(BANDS)[:60], "x: its bands cannot be read"),
        (b"II*\0", "x: its bands cannot be read"),
    ],
)
def test_what_has_no_four_bands(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_picture(content, "x", channels=4)


def test_arrays_and_tensors_of_four_bands_are_transparent_only_for_rgb() -> None:
    assert (pixels_of(picture_of(BANDS, channels=4)) == BANDS).all()
    assert picture_of(BANDS).mode == "RGB"
    assert (pixels_of(picture_of(BANDS[..., :1], channels=1)) == BANDS[..., :1]).all()
    with pytest.raises(UsageError, match="1 channel"):
        picture_of(BANDS, channels=2)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_pixels_can_be_looked_at(channels: int) -> None:
    shown = np.asarray(visible(np.random.default_rng(0).integers(0, 256, (4, 3, channels), dtype=np.uint8)))
    assert shown.shape == (4, 3, 3)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pixels_come_back(channels: int) -> None:
    own = np.ascontiguousarray(BANDS[..., :channels])
    assert (pixels_of(picture_from(own)) == own).all()


def test_a_folder_in_grey_and_in_four_bands(tmp_path: Path) -> None:
    """They are kept apart from the same folder in RGB."""
    for split in ("train", "test"):
        for label in ("a", "b"):
            place = tmp_path / split / label
            place.mkdir(parents=True)
            (place / "x.png").write_bytes(encoded(BANDS, "PNG"))
    name = f"folder:{tmp_path}"
    for _ in range(2):
        found = {channels: load_data(name, image_size=5, channels=channels) for channels in (1, 3, 4)}
        assert {channels: data.images.shape[3] for channels, data in found.items()} == {1: 1, 3: 3, 4: 4}
        assert all(data.channels == channels for channels, data in found.items())
    (tmp_path / "train" / "b" / "rgb.png").write_bytes(encoded(pixels(), "PNG"))
    (line,) = load_data(name, image_size=5, channels=4).skipped
    assert "rgb.png: it has 3 channels, and 4 are asked for" in line
    with pytest.raises(UsageError, match="1 channel"):
        load_data(name, channels=5)


def test_a_set_in_memory_in_grey() -> None:
    colours = cluttered_digits("test", count=2)
    grey = in_form(colours, None, 1)
    assert grey.images.shape == (*colours.images.shape[:3], 1)
    assert np.abs(grey.images[0, ..., 0] - colours.images[0] @ [0.299, 0.587, 0.114]).max() <= 1
