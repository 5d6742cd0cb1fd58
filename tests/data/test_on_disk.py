"""Rows that stay in their file are the array's, whichever are asked for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payattention.data import ImageSet, load_data
from payattention.data.on_disk import OnDisk
from payattention.errors import DataError, UsageError
from payattention.system import memory
from tiny import encoded, pixels

NUMBERS = st.lists(st.integers(-12, 11), max_size=9).map(lambda found: np.array(found, np.int64))
SLICES = st.slices(12)


@pytest.fixture
def array() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, 3, 2, 3), dtype=np.uint8)


@pytest.fixture
def rows(array: np.ndarray, tmp_path: Path) -> OnDisk:
    (tmp_path / "rows").write_bytes(array.tobytes())
    return OnDisk(tmp_path / "rows", array.dtype, array.shape)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])  # they are read
@given(which=NUMBERS | SLICES, then=st.data())
def test_any_choice_of_any_choice_is_the_arrays(
    which: np.ndarray | slice, then: st.DataObject, array: np.ndarray, rows: OnDisk
) -> None:
    some, expected = rows.chosen(which), array[which]
    assert np.array_equal(rows[which], expected)
    assert np.array_equal(np.asarray(some), expected)
    assert (some.shape, len(some), some.nbytes) == (expected.shape, len(expected), expected.nbytes)
    if len(expected):
        again = then.draw(st.slices(len(expected)) | st.integers(-len(expected), len(expected) - 1))
        assert np.array_equal(some[again], expected[again])


def test_there_is_no_row_beyond_the_last(rows: OnDisk) -> None:
    for outside in (12, -13, np.array([3, 12]), np.array([-13])):
        with pytest.raises(IndexError):
            rows[outside]
    assert len([*rows]) == 12


def test_a_file_that_is_cut_off_meanwhile_is_told(rows: OnDisk, tmp_path: Path) -> None:
    with (tmp_path / "rows").open("r+b") as file:
        file.truncate(100)
    assert rows[0].shape == (3, 2, 3)
    with pytest.raises(DataError, match=r"rows: was cut off while it was read"):
        rows[11]


@pytest.fixture
def on_disk(image_set: ImageSet, tmp_path: Path) -> ImageSet:
    """The set of noise, images and masks in files."""
    files = {}
    for name in ("images", "masks"):
        array = getattr(image_set, name)
        (tmp_path / name).write_bytes(array.tobytes())
        files[name] = OnDisk(tmp_path / name, array.dtype, array.shape)
    return replace(image_set, **files)


def test_a_set_in_files_is_the_set(image_set: ImageSet, on_disk: ImageSet) -> None:
    some = np.array([5, 3, 30])
    for one, other in ((image_set, on_disk), (image_set.chosen(some), on_disk.chosen(some).first(3))):
        assert one.checksum == other.checksum
        assert np.array_equal(one.has_object, other.has_object)
        assert np.array_equal(one[2][0], other[2][0])
        assert one.image_size == other.image_size
    assert isinstance(on_disk.chosen(some).masks, OnDisk)


def test_what_memory_has_no_room_for_stays_on_disk(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mapped = load_data(f"folder:{pets}", image_size=8)
    assert isinstance(mapped.images, np.memmap)
    monkeypatch.setattr(memory, "free_bytes", lambda device=None: 2 * mapped.images.nbytes - 1)
    small = load_data(f"folder:{pets}", image_size=8)
    assert isinstance(small.images, OnDisk)
    assert np.array_equal(small.images, mapped.images)
    monkeypatch.undo()
    assert isinstance(load_data(f"folder:{pets}", image_size=8, from_disk=True).images, OnDisk)


def test_what_is_decoded_on_the_way_is_what_the_cache_has(pets: Path) -> None:
    kept, now = (load_data(f"folder:{pets}", image_size=8, cache=cache) for cache in (True, False))
    assert np.array_equal(now.images, kept.images)
    assert np.array_equal(now.labels, kept.labels)
    assert [now.name_of(k) for k in range(len(now))] == [kept.name_of(k) for k in range(len(kept))]
    assert (now.checksum, now.classes, now.source) == (kept.checksum, kept.classes, kept.source)
    some = np.array([3, 0])
    assert np.array_equal(now.chosen(some).images[1:], kept.images[some][1:])


def test_what_cannot_be_read_on_the_way_is_named(pets: Path, tmp_path: Path) -> None:
    (pets / "cat" / "0bad.png").touch()
    data = load_data(f"folder:{pets}", "all", image_size=8, cache=False)
    with pytest.raises(DataError, match=r"0bad.png: the file is empty; remove it, or let the cache leave it out"):
        np.asarray(data.images)


def test_pictures_in_a_parquet_file_are_decoded_first(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = {"image": [{"bytes": encoded(pixels(k), "PNG")} for k in range(2)], "label": [0, 1]}
    pq.write_table(pa.table(rows), tmp_path / "train.parquet")
    with pytest.raises(UsageError, match="are no files of their own"):
        load_data(f"parquet:{tmp_path}", image_size=8, cache=False)


def test_what_is_made_in_memory_is_not_read_from_disk() -> None:
    with pytest.raises(UsageError, match="cluttered_digits are made in memory"):
        load_data("cluttered_digits", from_disk=True)


def test_free_memory_is_the_least_of_machine_container_and_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part, free in (("_of_machine", [7]), ("_of_container", [5, 6]), ("_of_limits", [9])):
        monkeypatch.setattr(memory, part, lambda free=free: iter(free))
    assert memory.free_bytes() == 5
    assert memory.fits(2)
    assert not memory.fits(3)
    for part in ("_of_machine", "_of_container", "_of_limits"):
        monkeypatch.setattr(memory, part, lambda: iter([]))
    assert memory.free_bytes() is None
    assert memory.fits(10**15)
