"""Decoded once: what makes a cache be used, made again, or refused."""

import errno
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from payattention.data import ImageSet, cache, decoding, load_data
from payattention.data.places import CACHE_VARIABLE, cache_root
from payattention.errors import DataError
from tiny import encoded, pixels


def load(path: Path, split: str = "train", size: int = 8) -> ImageSet:
    return load_data(f"folder:{path}", split, image_size=size)


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch):  # type: ignore
    """A switch: after it, decoding anything fails the test."""

    def refuse(*_: object) -> None:
        raise AssertionError("decoded again")

    return lambda: monkeypatch.setattr(decoding, "_block", refuse)


def the_cache() -> Path:
    folders = [folder for folder in cache_root().iterdir() if not folder.name.startswith(".")]
    assert len(folders) == 1
    return folders[0]


def same(one: ImageSet, other: ImageSet) -> bool:
    arrays = (one.images, other.images), (one.labels, other.labels)
    return all(np.array_equal(a, b) for a, b in arrays) and (one.classes, one.skipped) == (other.classes, other.skipped)


def test_the_second_time_nothing_is_decoded(pets: Path, no_decoding) -> None:  # type: ignore
    (pets / "cat" / "0bad.png").touch()
    first = load(pets)
    no_decoding()
    second = load(pets)
    assert same(first, second)
    assert len(second.skipped) == 1
    assert isinstance(second.images, np.memmap)


def test_each_picture_keeps_its_name_in_every_part(pets: Path) -> None:
    (pets / "cat" / "0bad.png").touch()
    load(pets)
    data = load(pets)
    names = [data.name_of(k) for k in range(len(data))]
    assert names == sorted(names)
    assert all(Path(name).is_file() for name in names)
    assert str(pets / "cat" / "0bad.png") not in names
    part = data.chosen(np.array([2, 0]))
    assert [part.name_of(0), part.name_of(1)] == [names[2], names[0]]
    assert replace(data, names=None).name_of(2) == f"folder:{pets}, image 2"


def test_torch_takes_the_images_as_they_are(pets: Path) -> None:
    """Warnings are errors here: torch warns of read-only arrays. Writing does not reach the file."""
    data = load(pets)
    tensor = torch.from_numpy(data.images)
    assert tensor.data_ptr() == data.images.ctypes.data
    tensor.zero_()
    assert load(pets).images.any()


@pytest.mark.parametrize("change", ["touched", "added", "removed", "other bytes"])
def test_changed_files_are_decoded_again(pets: Path, change: str) -> None:
    before = load(pets)
    file = pets / "dog" / "9.png"
    match change:
        case "touched":
            os.utime(file, ns=(0, 0))
        case "added":
            (pets / "dog" / "0a.png").write_bytes(encoded(pixels(77), "PNG"))
        case "removed":
            file.unlink()
        case "other bytes":
            file.write_bytes(encoded(pixels(78), "PNG"))
    after = load(pets)
    assert same(before, after) == (change == "touched")
    assert the_cache()  # the old one is gone


def test_splits_sizes_places_and_crop_modes_have_caches_of_their_own(pets: Path) -> None:
    other = pets.parent / "other"
    shutil.copytree(pets, other)
    for path, split, size in ((pets, "train", 8), (pets, "test", 8), (pets, "train", 4), (other, "train", 8)):
        assert load(path, split, size).images.shape[1:] == (size, size, 3)
    assert load_data(f"folder:{pets}", image_size=8, crop_mode="squash").crop_mode == "squash"
    assert len(list(cache_root().iterdir())) == 5


@pytest.mark.parametrize("damage", ["a bit", "cut", "longer", "no images", "no meta", "half meta", "empty meta"])
def test_a_damaged_cache_is_made_again(pets: Path, damage: str) -> None:
    before = load(pets)
    before = replace(before, images=before.images.copy())  # the damage is done to the file under it
    images, meta = the_cache() / "images", the_cache() / "meta.json"
    content = images.read_bytes()
    match damage:
        case "a bit":
            images.write_bytes(content[:700] + bytes([content[700] ^ 1]) + content[701:])
        case "cut":
            images.write_bytes(content[:-1])
        case "longer":
            images.write_bytes(content + b"\0")
        case "no images":
            images.unlink()
        case "no meta":
            meta.unlink()
        case "half meta":
            meta.write_text(meta.read_text()[:100])
        case "empty meta":
            meta.write_text("{}")
    assert same(before, load(pets))
    assert (the_cache() / "images").read_bytes() == content


def test_a_full_disk_is_an_error_that_leaves_nothing_behind(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache, "_write", full)
    with pytest.raises(DataError, match=r"No space left on device.*PAYATTENTION_CACHE") as caught:
        load(pets)
    assert f"folder:{pets}" in str(caught.value)
    assert not list(cache_root().iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_plain_writes_notice_a_full_device(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def on_a_full_device(path: Path, mode: str = "r", *args: object, **kwargs: object):  # type: ignore
        return opened(Path("/dev/full") if mode == "wb" else path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", on_a_full_device)
    with pytest.raises(DataError, match="No space left on device"):
        load(pets)
    assert not list(cache_root().iterdir())


def test_a_failure_midway_leaves_nothing_behind(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(decoding, "_block", stopped)
    with pytest.raises(KeyboardInterrupt):
        load(pets)
    assert not list(cache_root().iterdir())


def test_what_a_dead_process_left_is_removed_later(pets: Path) -> None:
    old, young = (cache_root() / f".{name}.partial" for name in ("old", "young"))
    for folder in (old, young):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    load(pets)
    assert not old.exists()
    assert young.exists()


def test_processes_that_start_at_once_all_get_the_set(pets: Path) -> None:
    program = "import sys, payattention as pa; print(pa.load_data(sys.argv[1], image_size=8).images.sum())"
    processes = [
        subprocess.Popen([sys.executable, "-c", program, f"folder:{pets}"], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    sums = [int(process.communicate()[0]) for process in processes]
    assert sums == [load(pets).images.sum()] * 3
    assert the_cache()


def test_another_process_that_was_faster_keeps_its_cache(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = cache._write

    def slowly(folder: Path, decoded):  # type: ignore
        written = write(folder, decoded)
        monkeypatch.setattr(cache, "_write", write)
        load(pets)  # the other process
        (the_cache() / "mark").touch()
        return written

    monkeypatch.setattr(cache, "_write", slowly)
    load(pets)
    assert (the_cache() / "mark").exists()


def test_a_data_root_that_is_read_only_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    root = tmp_path / "root"
    assert cache_root(root) == root / "decoded"
    root.mkdir()
    root.chmod(0o555)
    assert cache_root(root) == tmp_path / "home" / ".cache" / "payattention" / "decoded"
    monkeypatch.setenv(CACHE_VARIABLE, "/elsewhere")
    assert cache_root(root) == Path("/elsewhere")
