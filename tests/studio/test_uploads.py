"""What people upload becomes a picture or a folder of them, or one line; nothing is called as the uploader says."""

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from payattention.data import load_data
from payattention.errors import DataError
from payattention.studio.archives import unpacked
from payattention.studio.uploads import MIB, Limits, name_to_show, picture_from
from tiny import encoded, pixels

FEW = Limits(upload=MIB, picture=50_000, pixels=10_000, side=64, entries=50, unpacked=100_000)
PNG = encoded(pixels(), "PNG")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def test_a_picture_comes_upright_and_no_larger_than_is_kept() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    photo = encoded(np.repeat(pixels(height=2, width=3), 40, 0).repeat(40, 1), "JPEG", exif=exif.tobytes())
    found = picture_from(photo, "C:\\holiday\\a cat.jpg", limits=FEW)
    assert found.size == (80, 120)
    assert found.picture.size == (43, 64)
    assert found.name == "a cat.jpg"


def test_a_small_picture_keeps_its_pixels() -> None:
    assert (np.asarray(picture_from(PNG, limits=FEW).picture) == pixels()).all()


def png_that_says(width: int, height: int) -> bytes:
    """A picture file of a few bytes whose head promises any number of pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (b"", "a.png", "a.png: the file is empty"),
        (SVG, "a.svg", "a.svg: a drawing, which is not read"),
        (SVG, "a.png", "a.png: not a picture"),
        (b"<!doctype html><script>alert(1)</script>", "a.jpg", "a.jpg: not a picture"),
        (PNG[: len(PNG) // 2], "a.png", "a.png: damaged picture"),
        (bytes(50_001), "a.png", "a.png: 0.1 MB; a picture may have at most 0.1 MB: save it smaller"),
        (png_that_says(101, 100), "a.png", "101 x 100 pixels; a picture may have at most 10,000: save it smaller"),
        (png_that_says(2**31 - 1, 2**31 - 1), "a.png", "more than 100 million pixels|2,147,483,647 x"),
        (encoded(pixels(), "PNG"), "holiday.mp4", "holiday.mp4: a video, which is not read"),
        (b"%PDF-1.7", "../../etc/passwd", "^passwd: not a picture"),
    ],
)
def test_what_is_no_picture_for_the_page_is_refused_in_a_line(content: bytes, name: str, says: str) -> None:
    with pytest.raises(DataError, match=says) as refused:
        picture_from(content, name, limits=FEW)
    assert "\n" not in str(refused.value)


@contextmanager
def suppress_one_line(start: str) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        if not str(error).startswith(start) or "\n" in str(error):
            raise


@pytest.mark.parametrize("mutation", range(60))
def test_damaged_pictures_are_read_or_refused_in_a_line(mutation: int) -> None:
    random = np.random.default_rng(mutation)
    kind = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP")[mutation % 6]
    content = np.frombuffer(encoded(pixels(height=24, width=24), kind), np.uint8).copy()
    places = random.integers(0, len(content), 1 + mutation // 6)
    content[places] = random.integers(0, 256, len(places))
    with suppress_one_line("a: "):
        found = picture_from(content[: random.integers(1, len(content) + 1)].tobytes(), "a", limits=FEW)
        assert max(found.picture.size) <= FEW.side


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("cat.jpg", "cat.jpg"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("..", "picture"),
        ("", "picture"),
        ("a\nb\x00c\u202egpj.exe", "a b c gpj.exe"),
        ("\udcff.png", "\ufffd.png"),
        ("x" * 300 + ".jpg", "x" * 67 + "..." + "x" * 6 + ".jpg"),
    ],
)
def test_a_name_is_shown_without_folders_and_without_what_cannot_be_seen(name: str, shown: str) -> None:
    assert name_to_show(name) == shown


def zipped(path: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


CLASSES = {f"{name}/{k}.png": encoded(pixels(k), "PNG") for name in ("dog", "cat") for k in range(5)}


@pytest.mark.parametrize("outer", ["", "photos/", "my/photos/"])
def test_an_archive_is_read_as_its_folder_would_be(tmp_path: Path, outer: str) -> None:
    for name, content in CLASSES.items():
        (tmp_path / "by_hand" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "by_hand" / name).write_bytes(content)
    junk = {f"{outer}.DS_Store": b"x", "__MACOSX/dog/._0.png": b"x", f"{outer}notes.txt": b"x"}
    files = {f"{outer}{name}": content for name, content in CLASSES.items()}
    found = unpacked(zipped(tmp_path / "a.zip", files | junk), tmp_path / "new", limits=FEW)
    assert (found.pictures, found.left_out, found.classes) == (10, [], {"0": "cat", "1": "dog"})
    for split in ("train", "test"):
        own, by_hand = (load_data(f"folder:{tmp_path / place}", split, image_size=8) for place in ("new", "by_hand"))
        assert tuple(found.classes[name] for name in own.classes) == by_hand.classes
        assert (own.images == by_hand.images).all()
        assert (own.labels == by_hand.labels).all()


def test_splits_are_kept_and_masks_and_strays_left_out(tmp_path: Path) -> None:
    files = {
        "pets/Training/cat/1.png": PNG,
        "pets/Training/dog/1.PNG": PNG,
        "pets/valid/cat/2.png": PNG,
        "pets/stray.png": PNG,
        "pets/masks/cat/1.png": PNG,
    }
    found = unpacked(zipped(tmp_path / "a.zip", files), tmp_path / "new", limits=FEW)
    assert sorted(str(file.relative_to(tmp_path / "new")) for file in (tmp_path / "new").rglob("*.png")) == [
        "test/0/000002.png",
        "train/0/000000.png",
        "train/1/000001.png",
    ]
    assert sorted(found.left_out) == ["1.png: lies in no class folder", "stray.png: lies in no class folder"]


def with_link(path: Path) -> Path:
    with zipfile.ZipFile(zipped(path, CLASSES), "a") as archive:
        link = zipfile.ZipInfo("cat/link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return path


def test_links_and_archives_in_archives_are_not_followed(tmp_path: Path) -> None:
    with zipfile.ZipFile(with_link(tmp_path / "a.zip"), "a") as archive:
        archive.writestr("cat/more.zip", b"PK")
        archive.writestr("cat/film.mp4", b"film")
    found = unpacked(tmp_path / "a.zip", tmp_path / "new", limits=FEW)
    assert found.pictures == 10
    assert [line.partition(",")[0] for line in found.left_out] == [
        "link.png: a link",
        "more.zip: an archive within the archive",
        "film.mp4: a video",
    ]
    assert not any(file.is_symlink() for file in (tmp_path / "new").rglob("*"))


def patched(path: Path, files: Mapping[str, bytes], change: Callable[[bytes], bytes]) -> Path:
    path.write_bytes(change(zipped(path, files, zipfile.ZIP_STORED).read_bytes()))
    return path


def lying_of_its_size(content: bytes) -> bytes:
    """The list of contents and each file's own head say that many zeros are 9 bytes."""
    return content.replace(struct.pack("<I", LARGE), struct.pack("<I", 9))


def locked(content: bytes) -> bytes:
    """Every entry of the list of contents says that it is encrypted: the lowest bit of its flags."""
    head = b"PK\x01\x02\x14\x03\x14\x00"
    assert head in content
    return content.replace(head + b"\x00", head + b"\x01")


LARGE = 300_000
ZEROS = {"cat/a.png": bytes(LARGE), "dog/a.png": PNG}
HOSTILE: Mapping[str, tuple[Callable[[Path], Path], str]] = {
    "no zip": (lambda path: Path(path.write_bytes(b"PK") and path), "not a .zip archive, or cut off"),
    "rar": (lambda path: Path(path.write_bytes(b"Rar!\x1a\x07") and path), "a RAR archive"),
    "cut off": (lambda path: patched(path, CLASSES, lambda content: content[:-60]), "not a .zip archive, or cut off"),
    "up": (lambda path: zipped(path, {"../cat/a.png": PNG}), r"leads out of the archive \(a.png\)"),
    "absolute": (lambda path: zipped(path, {"/cat/a.png": PNG}), "leads out of the archive"),
    "a drive": (lambda path: zipped(path, {"C:\\cat\\a.png": PNG}), "leads out of the archive"),
    "backslashes": (lambda path: zipped(path, {"..\\..\\cat\\a.png": PNG}), "leads out of the archive"),
    "control": (lambda path: zipped(path, {"cat/a\n.png": PNG}), "leads out of the archive"),
    "deep": (lambda path: zipped(path, {"a/" * 20 + "a.png": PNG}), "more than 8 deep"),
    "many": (lambda path: zipped(path, {f"cat/{k}.png": PNG for k in range(51)}), "more than 50 files"),
    "bomb": (lambda path: zipped(path, {f"cat/{k}.png": bytes(40_000) for k in range(3)}), "at most 0.1 MB"),
    "one bomb": (lambda path: zipped(path, {"cat/a.png": bytes(MIB)}), "that can be read: a.png: 1.0 MB"),
    "lies": (lambda path: patched(path, ZEROS, lying_of_its_size), "a damaged archive|no pictures|holds more"),
    "lzma": (lambda path: zipped(path, {"cat/a.png": PNG}, zipfile.ZIP_LZMA), "packed in a way that is not read"),
    "locked": (lambda path: patched(path, CLASSES, locked), "locked with a password"),
    "flat": (lambda path: zipped(path, {"a.png": PNG}), "in no class folders"),
    "empty": (lambda path: zipped(path, {}), "not a .zip archive|no pictures"),
    "texts": (lambda path: zipped(path, {"cat/a.txt": b"a"}), "no pictures in it"),
    "damaged": (
        lambda path: patched(path, CLASSES, lambda content: content.replace(b"IDAT", b"IDAX", 1)),
        "a damaged archive",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_an_archive_that_means_harm_leaves_one_line_and_no_file(tmp_path: Path, name: str) -> None:
    make, says = HOSTILE[name]
    archive = make(tmp_path / "a.zip")
    with pytest.raises(DataError, match=says) as refused:
        unpacked(archive, tmp_path / "in" / "new", limits=FEW)
    assert "\n" not in str(refused.value)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [archive]
