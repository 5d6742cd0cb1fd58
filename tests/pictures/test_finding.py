"""Folders of pictures are looked through to the bottom, and nothing that someone would miss is lost without a word."""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from payattention.errors import DataError
from payattention.pictures import kinds
from payattention.pictures.finding import looked_through, picture_files, pictures_in, unreadable
from payattention.pictures.reading import read_picture
from tiny import encoded, pixels

PNG = encoded(pixels(), "PNG")
HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(40)
RENAMED_HEIC = b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(40)
APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X" + bytes(40)


def save(file: Path, content: bytes = PNG) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def lines(folder: Path) -> dict[str, str]:
    """What is not read, by its place in the folder."""
    named = picture_files([folder])
    return {str(file.relative_to(folder)): line for file, line in unreadable(named).items()}


def test_folders_in_folders_are_looked_through(tmp_path: Path) -> None:
    places = ["b.png", "a.png", "dog/2023/c.jpg", "dog/d.webp", "cat/e.gif"]
    for place in places:
        save(tmp_path / place)
    found = [str(file.relative_to(tmp_path)) for file in picture_files([tmp_path]).files]
    assert found == ["a.png", "b.png", "cat/e.gif", "dog/d.webp", "dog/2023/c.jpg"]


def test_what_is_known_and_not_read_is_named_with_its_cure(tmp_path: Path) -> None:
    save(tmp_path / "good.png")
    known = {
        "clip.mp4": "a video, which is not read",
        "deep/CLIP.MOV": "a video",
        "raw.DNG": "a camera's raw file, which is not read; save what it shows as JPEG or PNG",
        "new.jxl": "a JPEG XL picture",
        "scan.dcm": "a DICOM file",
        "page.pdf": "a drawing",
        "layers.psd": "a program's own picture",
        "phone.heic": r"needs the package pillow-heif: pip install 'payattention[heif]'",
    }
    for name in known:
        save(tmp_path / name, HEIC if name.endswith("heic") else PNG)  # also where the name does not tell the truth
    save(tmp_path / "sent.jpg", RENAMED_HEIC)
    for name in ("notes.txt", "Thumbs.db", ".DS_Store", "table.csv", "._good.png", "._clip.mp4", "deep/._c.jpg"):
        save(tmp_path / name, APPLE_DOUBLE)
    found = lines(tmp_path)
    assert found.keys() == {*known, "sent.jpg"}
    assert all(words in found[name] for name, words in known.items())
    assert "pip install 'payattention[heif]'" in found["sent.jpg"]


def test_strict_refuses_them(tmp_path: Path) -> None:
    save(tmp_path / "good.png")
    named = picture_files([tmp_path])
    assert unreadable(named, strict=True) == {}
    save(tmp_path / "clip.mp4")
    save(tmp_path / "half.png", PNG[:40])
    with pytest.raises(DataError, match=r"clip\.mp4: a video.* \(and 1 more\)"):
        unreadable(picture_files([tmp_path]), strict=True)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("clip.mp4", PNG, "a video"),
        ("phone.heic", HEIC, "pillow-heif"),
        ("._good.png", APPLE_DOUBLE, "the picture is the file without ._"),
        ("cut.avif", encoded(pixels(), "AVIF")[:60], "not a picture"),
    ],
)
def test_one_that_was_named_itself_is_an_error(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    file = save(tmp_path / name, content)
    with pytest.raises(DataError, match=words):
        unreadable(picture_files([save(tmp_path / "good.png"), file]))


def test_a_folder_without_a_picture_says_what_it_holds_instead(tmp_path: Path) -> None:
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    with pytest.raises(DataError, match=r"empty: no pictures in this folder or in the folders in it$"):
        picture_files([tmp_path / "empty"])
    save(tmp_path / "films" / "1.mp4")
    with pytest.raises(DataError, match=r"films: no pictures .* that can be read: .*1\.mp4: a video"):
        picture_files([tmp_path / "films"])


def test_links_that_lead_back_are_followed_once(tmp_path: Path) -> None:
    save(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "back").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "again").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert picture_files([tmp_path]).files == {tmp_path / "a" / "1.png": False}


def test_what_systems_and_we_leave_beside_pictures_is_not_looked_into(tmp_path: Path) -> None:
    """Else the maps of a second run would be those of the first run's overlays."""
    for place in (
        "1.png",
        ".git/2.png",
        "__MACOSX/3.png",
        "@eaDir/4.png",
        "maps/5.png",
        "run/sheets/6.png",
        "web/7.png",
    ):
        save(tmp_path / place)
    save(tmp_path / "maps" / "manifest.json", b'{"pictures": [], "provenance": {}}')
    save(tmp_path / "web" / "manifest.json", b'{"icons": []}')
    save(tmp_path / "run" / "config.json", b"{}")
    save(tmp_path / "run" / "model.safetensors", b"")
    found = [str(file.relative_to(tmp_path)) for file in picture_files([tmp_path]).files]
    assert found == ["1.png", "web/7.png"]
    assert {place: line.partition(": ")[2] for place, line in lines(tmp_path).items()} == {
        "maps": "results of payattention, not looked into",
        "run": "results of payattention, not looked into",
    }
    assert picture_files([tmp_path / "maps"]).files  # but where it is named itself


def test_a_folder_that_must_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root may read everything, the refusal is made here."""
    save(tmp_path / "1.png")
    save(tmp_path / "secret" / "2.png")
    listed = Path.iterdir

    def refusing(path: Path) -> object:
        if path.name == "secret":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", refusing)
    assert lines(tmp_path) == {"secret": f"{tmp_path / 'secret'}: cannot be read (Permission denied)"}
    with pytest.raises(DataError, match="secret: cannot be read"):
        picture_files([tmp_path / "secret"])


def test_what_earlier_versions_did_not_read_comes_after_what_they_did(tmp_path: Path) -> None:
    """So that every fifth picture of a class, which is held out, is the one that it was."""
    for name in ("a.avif", "b.png", "c.jp2", "d.jpg"):
        save(tmp_path / name)
    assert [file.name for file in pictures_in(tmp_path)] == ["b.png", "d.jpg", "a.avif", "c.jp2"]
    assert looked_through(tmp_path).pictures == pictures_in(tmp_path)


@pytest.mark.parametrize(("kind", "suffix"), [("AVIF", "avif"), ("JPEG2000", "jp2"), ("WEBP", "webp")])
def test_newer_kinds_are_read_by_pillow_itself(kind: str, suffix: str, tmp_path: Path) -> None:
    smooth = np.linspace(0, 255, 32 * 32 * 3).reshape(32, 32, 3).astype(np.uint8)
    file = save(
        tmp_path / f"picture.{suffix}",
        encoded(smooth, kind, quality=95) if kind != "JPEG2000" else encoded(smooth, kind),
    )
    (read,) = picture_files([tmp_path]).files
    assert read == file
    assert abs(np.asarray(read_picture(read)).astype(int) - smooth).mean() < 4


def test_heic_is_read_where_its_package_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A stand-in for pillow-heif: it registers an opener of that name, as the package does."""
    stand_in = ModuleType("pillow_heif")
    stand_in.__spec__ = ModuleSpec("pillow_heif", None)
    opened = Image.new("RGB", (5, 4), "red")
    stand_in.register_heif_opener = (
        lambda: Image.register_open(  # type: ignore[attr-defined]
            "HEIF", lambda *_: opened, lambda start: start[4:8] == b"ftyp"
        )
    )
    monkeypatch.setitem(sys.modules, "pillow_heif", stand_in)
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    kinds.formats.cache_clear()
    try:
        assert read_picture(save(tmp_path / "phone.heic", HEIC)).getpixel((0, 0)) == (255, 0, 0)
    finally:
        kinds.formats.cache_clear()
