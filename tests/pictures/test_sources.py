"""One picture in every form that people have it in: the same pixels."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from payattention.errors import DataError, UsageError
from payattention.pictures.reading import read_picture
from payattention.pictures.sources import name_of, picture_of, several
from tiny import encoded, pixels

RGB = Image.fromarray(pixels(0, 24, 32))
CLEAR = RGB.copy()
CLEAR.putalpha(Image.fromarray(pixels(1, 24, 32)[..., 0]))
DEEP = np.random.default_rng(2).integers(0, 4096, (24, 32)).astype(np.uint16)


def _turned(kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(RGB, kind, exif=exif)


FILES = {
    "palette": encoded(RGB.convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
    "palette with a clear colour": encoded(RGB.convert("P", palette=Image.Palette.ADAPTIVE), "PNG", transparency=3),
    "clear colour": encoded(RGB, "PNG", transparency=(1, 2, 3)),
    "GIF": encoded(RGB, "GIF"),
    "moving GIF": encoded(RGB, "GIF", save_all=True, append_images=[Image.new("RGB", (32, 24), "red")]),
    "RGBA": encoded(CLEAR, "PNG"),
    "LA": encoded(CLEAR.convert("LA"), "PNG"),
    "RGBA WebP": encoded(CLEAR, "WEBP", lossless=True),
    "two colours": encoded(RGB.convert("1"), "PNG"),
    "CMYK JPEG": encoded(RGB.convert("CMYK"), "JPEG"),
    "CMYK TIFF": encoded(RGB.convert("CMYK"), "TIFF"),
    "LAB": encoded(RGB.convert("LAB"), "TIFF"),
    "16 bits": encoded(Image.fromarray(DEEP), "PNG"),
    "16-bit TIFF": encoded(Image.fromarray(DEEP), "TIFF"),
    "32 bits": encoded(Image.fromarray(DEEP.astype(np.int32)), "TIFF"),
    "floats": encoded(Image.fromarray(DEEP.astype(np.float32) / 5000), "TIFF"),
    "AVIF": encoded(RGB, "AVIF"),
    "JPEG 2000": encoded(RGB, "JPEG2000"),
    **{f"{kind} {k}": _turned(kind, k) for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF") for k in range(1, 9)},
}


def same(a: Image.Image, b: Image.Image) -> bool:
    return a.mode == b.mode == "RGB" and a.size == b.size and np.array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("name", FILES)
def test_a_file_and_what_pillow_makes_of_it_are_the_same_picture(name: str, tmp_path: Path) -> None:
    """Opened, loaded, copied, read already: and as a path, as text, as bytes, as an open file that was read before."""
    file = tmp_path / "picture.any"
    file.write_bytes(FILES[name])
    read = read_picture(file)
    with Image.open(file) as opened, Image.open(file) as loaded, file.open("rb") as handle:
        loaded.load()
        handle.read()
        forms = (str(file), FILES[name], memoryview(FILES[name]), handle, io.BytesIO(FILES[name]), opened, loaded, read)
        assert all(same(read, picture_of(form)) for form in forms)
        assert same(read, picture_of(opened))  # it was not changed by being read


def test_a_picture_that_its_owner_made_upright_is_not_turned_again() -> None:
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(_turned("PNG", 6))))
    assert same(picture_of(upright), picture_of(_turned("PNG", 6)))


def test_a_turned_picture_that_was_converted_by_its_owner_is_still_turned() -> None:
    converted = Image.open(io.BytesIO(_turned("JPEG", 8))).convert("RGB")
    assert same(picture_of(converted), picture_of(_turned("JPEG", 8)))


def test_the_frame_that_its_owner_chose() -> None:
    moving = Image.open(io.BytesIO(FILES["moving GIF"]))
    moving.seek(1)
    assert np.asarray(picture_of(moving))[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float32, np.float64, np.float16])
def test_arrays_and_tensors_of_an_8_bit_picture_are_that_picture(dtype: type) -> None:
    values = np.asarray(RGB).astype(dtype)
    values = values / 255 if np.dtype(dtype).kind == "f" else values
    assert same(picture_of(values.astype(dtype)), RGB)
    if dtype is not np.float16:
        assert same(picture_of(torch.from_numpy(values.copy()).permute(2, 0, 1)), RGB)


@pytest.mark.parametrize("mode", ["L", "RGBA", "1", "I;16", "F"])
def test_an_array_of_another_kind_is_what_pillow_would_hold(mode: str) -> None:
    picture = {
        "L": RGB.convert("L"),
        "RGBA": CLEAR,
        "1": RGB.convert("1"),
        "I;16": Image.fromarray(DEEP),
        "F": Image.fromarray(DEEP.astype(np.float32) / 5000),
    }[mode]
    values = np.asarray(picture)
    assert same(picture_of(values), picture_of(picture))
    if values.ndim == 2:
        assert same(picture_of(values[..., None]), picture_of(picture))


def test_low_precision_tensors_that_need_gradients() -> None:
    values = torch.full((3, 4, 5), 0.5, dtype=torch.bfloat16, requires_grad=True)
    assert np.asarray(picture_of(values)).tolist() == np.full((4, 5, 3), 128).tolist()


def test_what_resampling_adds_to_floats_is_cut() -> None:
    assert np.asarray(picture_of(np.array([[-0.01, 1.03]])))[0].tolist() == [[0] * 3, [255] * 3]


closed = io.BytesIO(FILES["GIF"])
closed.close()


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        (None, UsageError, "picture: a picture is a file, bytes, .*; got NoneType"),
        (3, UsageError, "got int"),
        ([1, 2], UsageError, "got list"),
        ({"image": 1}, UsageError, "got dict"),
        (np.zeros(5), UsageError, r"the shape of an array is .*; got \(5,\)"),
        (np.zeros((3, 9, 9)), UsageError, r"its channels come first, so give array.transpose\(1, 2, 0\)"),
        (np.zeros((9, 9, 5)), UsageError, r"got \(9, 9, 5\)$"),
        (torch.zeros(9, 9, 3), UsageError, r"its channels come last, so give tensor.permute\(2, 0, 1\)"),
        (torch.zeros(2, 9, 9), UsageError, r"the shape of a tensor is \(3, H, W\)"),
        (torch.zeros(()), UsageError, r"got \(\)"),
        (np.zeros((0, 0, 3), np.uint8), DataError, "it has no pixels"),
        (np.zeros((0, 9), np.uint8), DataError, "it has no pixels"),
        (torch.zeros(3, 0, 9), DataError, "it has no pixels"),
        (Image.new("RGB", (0, 0)), DataError, r"it has no pixels \(0x0\)"),
        (np.full((9, 9, 3), 200.0), UsageError, "floats up to 200, and float pixels are 0 ... 1: divide by 255"),
        (torch.full((3, 9, 9), 255.0), UsageError, "divide by 255"),
        (np.linspace(-0.01, 255, 81).reshape(9, 9), UsageError, "divide by 255"),
        (torch.linspace(-2, 2.6, 243).reshape(3, 9, 9), UsageError, "before they are normalised"),
        (np.full((9, 9), -1), UsageError, "before they are normalised"),
        (np.full((9, 9), np.nan), UsageError, "NaN or infinite"),
        (np.full((9, 9, 3), "red"), UsageError, "pixels of dtype <U3"),
        (np.zeros((9, 9), complex), UsageError, "pixels of dtype complex128"),
        (np.array([[None]]), UsageError, "pixels of dtype object"),
        (io.StringIO("text"), UsageError, "open it in binary mode"),
        (closed, DataError, "the file is closed"),
        (b"", DataError, "picture: the file is empty"),
        ("https://example.org/cat.jpg", DataError, "pictures are read from files; fetch it first"),
        ("no/such.jpg", DataError, "no/such.jpg: no such file"),
    ],
)
def test_what_is_no_picture_gets_one_line(source: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        picture_of(source)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_picture_that_cannot_be_decoded_after_it_was_opened(tmp_path: Path) -> None:
    file = tmp_path / "half.png"
    file.write_bytes(FILES["RGBA"][:-300])
    with Image.open(file) as opened, pytest.raises(DataError, match=r"half.png: damaged picture"):
        picture_of(opened)


def test_several_pictures_or_one() -> None:
    one = np.zeros((9, 9, 3), np.uint8)
    for single in (one, torch.zeros(3, 9, 9), RGB, b"", "a.jpg", Path("a.jpg"), io.BytesIO(), None, 5, {}):
        assert several(single) is None  # type: ignore[arg-type]
    for many in ([one, one], (one, one), np.stack([one, one]), torch.zeros(2, 3, 9, 9), iter([one, one])):
        assert len(several(many) or ()) == 2  # type: ignore[arg-type]
    assert several([]) == []


def test_what_a_picture_is_called(tmp_path: Path) -> None:
    file = tmp_path / "cat.gif"
    file.write_bytes(FILES["GIF"])
    with file.open("rb") as handle, Image.open(file) as opened:
        names = [name_of(source) for source in (file, str(file), opened, handle)]
    assert names == [str(file)] * 4
    assert name_of(RGB) == name_of(io.BytesIO()) == name_of(torch.zeros(3, 2, 2)) == ""
