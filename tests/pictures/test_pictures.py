"""One picture of any kind becomes upright RGB, or one clear line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from payattention.errors import DataError
from payattention.pictures.reading import (
    CROP_MODES,
    MAX_PIXELS,
    decode_picture,
    mask_to_size,
    quiet,
    read_mask,
    read_picture,
    to_size,
)
from tiny import encoded, pixels


def test_grey_palette_and_rgb_give_the_same_pixels() -> None:
    grey = pixels()[..., 0]
    for kind in ("L", "P", "RGB", "1"):
        picture = Image.fromarray(grey).convert(kind)
        by_pillow = np.asarray(picture.convert("RGB"))
        assert (np.asarray(read_picture(encoded(picture, "PNG"))) == by_pillow).all()


def test_transparency_is_laid_on_white() -> None:
    clear = np.zeros((2, 2, 4), np.uint8)
    clear[0] = (255, 0, 0, 255)
    clear[1] = (0, 0, 0, 128)
    read = np.asarray(read_picture(encoded(Image.fromarray(clear), "PNG")))
    assert (read[0] == (255, 0, 0)).all()
    assert (abs(read[1].astype(int) - (255 - 128)) <= 1).all()  # half black on white


def test_cmyk_jpeg_is_read_as_rgb() -> None:
    red = Image.new("RGB", (16, 16), (200, 30, 40)).convert("CMYK")
    read = np.asarray(read_picture(encoded(red, "JPEG", quality=95)))
    assert (abs(read.astype(int) - (200, 30, 40)) < 12).all()


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    deep = Image.fromarray(np.array([[0, 65535 // 2], [65535, 257]], np.uint16))
    assert np.asarray(read_picture(encoded(deep, "PNG")))[..., 0].tolist() == [[0, 127], [255, 1]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.repeat(np.repeat(pixels(height=2, width=3), 16, 0), 16, 1))
    decoded = decode_picture(encoded(stored, "PNG", exif=exif.tobytes()))
    # the EXIF standard: what must be done to the stored rows and columns
    turns = {1: (0, 0), 2: (0, 1), 3: (2, 0), 4: (2, 1), 5: (3, 1), 6: (3, 0), 7: (1, 1), 8: (1, 0)}
    quarter_turns, mirrored = turns[orientation]
    by_hand = np.rot90(np.asarray(stored), quarter_turns)
    by_hand = by_hand[:, ::-1] if mirrored else by_hand
    assert (np.asarray(decoded.picture) == by_hand).all()
    assert decoded.size == decoded.picture.size


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    gif = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (np.asarray(read_picture(gif)) == (255, 0, 0)).all()


def test_one_pixel_becomes_a_picture_of_any_size() -> None:
    one = read_picture(encoded(np.full((1, 1, 3), 7, np.uint8), "PNG"))
    assert (to_size(one, 5) == np.full((5, 5, 3), 7)).all()


def test_a_long_picture_gives_its_centre() -> None:
    image = np.zeros((4, 12, 3), np.uint8)
    image[:, 4:8] = 200
    assert (to_size(Image.fromarray(image), 4) == 200).all()
    assert mask_to_size(image[..., 0] > 0, 4).all()


def test_a_squashed_picture_keeps_its_edges() -> None:
    image = np.zeros((4, 12, 3), np.uint8)
    image[:, :6] = 200
    squashed = to_size(Image.fromarray(image), 4, "squash")[..., 0]
    assert (squashed[:, 0] > 190).all()
    assert (squashed[:, 3] < 10).all()
    assert mask_to_size(image[..., 0] > 0, 4, "squash").tolist() == [[True, True, False, False]] * 4


@pytest.mark.parametrize("crop_mode", CROP_MODES)
@pytest.mark.parametrize("size", [3, 8, 16])
def test_a_mask_moves_with_its_picture(size: int, crop_mode: str) -> None:
    mask = np.zeros((40, 60), np.bool_)
    mask[5:25, 12:33] = True
    picture = to_size(Image.fromarray(np.repeat(mask[..., None] * np.uint8(255), 3, 2)), size, crop_mode)
    inside = picture[..., 0] > 127
    assert (
        inside != mask_to_size(mask, size, crop_mode)
    ).sum() <= 2 * size  # but for the contour: nearest, not interpolated


def test_a_large_jpeg_is_shrunk_while_it_is_decoded() -> None:
    smooth = np.linspace(0, 255, 800 * 600 * 3).reshape(600, 800, 3).astype(np.uint8)
    jpeg = encoded(smooth, "JPEG", quality=95)
    decoded = decode_picture(jpeg, near=64)
    assert decoded.size == (800, 600)
    assert 128 <= min(decoded.picture.size) < 300
    whole = to_size(decode_picture(jpeg).picture, 64)
    assert abs(to_size(decoded.picture, 64).astype(int) - whole).max() <= 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"this is no picture", "not a picture"),
        (encoded(pixels(height=64, width=64), "PNG")[:-200], "damaged picture"),
        (encoded(pixels(height=64, width=64), "JPEG")[:-200], "damaged picture"),
        (encoded(Image.new("1", (20_000, MAX_PIXELS // 20_000 + 1)), "PNG"), "more than 100 million pixels"),
        (b"P6 30000 30000 255\n", "more than 100 million pixels"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    ],
    ids=["empty", "text", "cut PNG", "cut JPEG", "bomb", "larger bomb", "a program"],
)
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "schöne Katze.png"
    file.write_bytes(content)
    with pytest.raises(DataError, match=f"schöne Katze.png: .*{words}") as caught:
        read_picture(file)
    assert "\n" not in str(caught.value)


def test_a_missing_file_a_folder_and_a_link_to_itself_are_named(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    for name, words in (("no.png", "no such file"), ("", "a folder"), ("loop.png", "cannot be read")):
        with pytest.raises(DataError, match=words):
            read_picture(tmp_path / name)


def test_a_file_name_that_is_no_text_can_be_printed(tmp_path: Path) -> None:
    file = tmp_path / b"caf\xe9.png".decode("utf-8", "surrogateescape")
    with pytest.raises(DataError) as caught:
        read_picture(file)
    assert "caf\ufffd.png: no such file" in str(caught.value).encode().decode()


def test_masks_of_every_kind(tmp_path: Path) -> None:
    mask = np.zeros((6, 5), np.bool_)
    mask[1:4, 2:] = True
    for name, values in {"1.png": mask, "one.png": mask * np.uint8(1), "white.png": mask * np.uint8(255)}.items():
        Image.fromarray(values).save(tmp_path / name)
        with quiet:
            assert (read_mask(tmp_path / name) == mask).all()
    palette = Image.fromarray(mask * np.uint8(2)).convert("P")
    palette.save(tmp_path / "palette.png")
    trimap = Image.fromarray(np.where(mask, np.uint8(1), np.uint8(2)))
    trimap.save(tmp_path / "trimap.png")
    assert (read_mask(tmp_path / "trimap.png", foreground=1) == mask).all()
    with pytest.raises(DataError, match=r"none\.png: no such file"):
        read_mask(tmp_path / "none.png")
