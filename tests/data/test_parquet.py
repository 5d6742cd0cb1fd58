"""The Hugging Face layout, written by pyarrow here and read back."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from payattention.data import ImageSet, load_data
from payattention.errors import DataError
from payattention.pictures.kinds import FORMATS
from tiny import encoded, pixels


def write(
    file: Path, pictures: list[bytes | None], labels: list[int | None], names: list[str] | None = None, **columns: str
) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    image = pa.array(
        [{"bytes": picture, "path": None} for picture in pictures],
        pa.struct({"bytes": pa.binary(), "path": pa.string()}),
    )
    label = columns.get("label", "label")
    table = pa.table({columns.get("image", "image"): image, label: pa.array(labels, pa.int64())})
    if names:
        info = {"info": {"features": {label: {"names": names}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    pq.write_table(table, file)


def pngs(seeds: range) -> list[bytes | None]:
    return [encoded(pixels(seed), "PNG") for seed in seeds]


def load(path: Path, split: str = "train", **options: object) -> ImageSet:
    return load_data(f"parquet:{path}", split, **options)  # type: ignore


def test_shards_are_joined_in_order(tmp_path: Path) -> None:
    write(tmp_path / "train-00000-of-00002.parquet", pngs(range(3)), [0, 1, 0], ["cat", "dog"])
    write(tmp_path / "train-00001-of-00002.parquet", pngs(range(3, 5)), [1, 1], ["cat", "dog"])
    write(tmp_path / "test-00000-of-00001.parquet", pngs(range(5, 6)), [1], ["cat", "dog"])
    train = load(tmp_path)
    assert (train.images == np.stack([pixels(k) for k in range(5)])).all()
    assert train.labels.tolist() == [0, 1, 0, 1, 1]
    assert train.classes == ("cat", "dog")
    assert train.source == "parquet copy, pictures as PNG"
    assert load(tmp_path, "test").labels.tolist() == [1]
    assert load(tmp_path, image_size=4).images.shape == (5, 4, 4, 3)


@pytest.mark.parametrize("file", ["train.parquet", "data/train-0.parquet"])
@pytest.mark.parametrize("columns", [{"image": "img"}, {"label": "fine_label"}])
def test_other_names_of_files_and_columns(tmp_path: Path, file: str, columns: dict[str, str]) -> None:
    write(tmp_path / file, pngs(range(2)), [0, 1], ["cat", "dog"], **columns)
    assert load(tmp_path).classes == ("cat", "dog")


def test_how_the_pictures_are_encoded_is_told(tmp_path: Path) -> None:
    kinds = {
        "JPEG": encoded(pixels(), "JPEG"),
        "lossless WebP": encoded(pixels(), "WEBP", lossless=True),
        "WebP": encoded(pixels(), "WEBP"),
    }
    for kind, picture in kinds.items():
        write(tmp_path / f"{kind}.parquet", [picture] * 2, [0, 1])
        data = load(tmp_path / f"{kind}.parquet")
        assert data.source == f"parquet copy, pictures as {kind}"
        assert data.classes == ("0", "1")


def test_bad_rows_are_left_out_and_listed(tmp_path: Path) -> None:
    pictures = [*pngs(range(3)), b"", None, b"text", *pngs(range(6, 7))]
    write(tmp_path / "train.parquet", pictures, [0, 2, None, 0, 0, 0, -1], ["cat", "dog"])
    data = load(tmp_path)
    assert len(data) == 1
    assert [line.partition("train.parquet, ")[2] for line in data.skipped] == [
        "row 1: label 2 is not among its 2 classes",
        "row 2: label -1 is not among its 2 classes",
        "row 3: the file is empty",
        "row 4: the file is empty",
        f"row 5: not a picture ({', '.join(FORMATS)})",
        "row 6: label -1 is not among its 2 classes",
    ]
    with pytest.raises(DataError, match="row 1: label 2"):
        load(tmp_path, strict=True)


@pytest.mark.parametrize("keep", [0, 3, 100, -8])
def test_a_cut_off_file_is_an_error(tmp_path: Path, keep: int) -> None:
    file = tmp_path / "train.parquet"
    write(file, pngs(range(20)), [0, 1] * 10)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"train.parquet: not a whole parquet file") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_damaged_in_its_middle_is_an_error_and_nothing_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "train.parquet"
    write(file, pngs(range(20)), [0, 1] * 10)
    content = bytearray(file.read_bytes())
    content[4:60] = b"\xff" * 56  # the first page's header
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"train.parquet: not a whole parquet file"):
        load(tmp_path)
    assert not list(tmp_path.glob("decoded/*"))


def test_missing_columns_and_splits_are_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match="no column 'image'; it has text"):
        load(tmp_path)
    with pytest.raises(DataError, match=r"no test-\*.parquet in it"):
        load(tmp_path, "test")
    pq.write_table(pa.table({"image": [1.5], "label": [0]}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match="column 'image' is double; pictures are"):
        load(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        load(tmp_path / "gone")


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_labels_may_be_the_names_of_classes(tmp_path: Path, kind: pa.DataType) -> None:
    def labelled(split: str, names: list[str | None], seeds: range) -> None:
        image = pa.array([{"bytes": png} for png in pngs(seeds)], pa.struct({"bytes": pa.binary()}))
        pq.write_table(pa.table({"image": image, "labels": pa.array(names, kind)}), tmp_path / f"{split}-0.parquet")

    labelled("train", ["dog", "cat", "cow", None], range(4))
    labelled("test", ["cow", "emu"], range(4, 6))
    train, test = load(tmp_path), load(tmp_path, "test")
    assert train.classes == test.classes == ("cat", "cow", "dog")
    assert train.labels.tolist() == [2, 0, 1]
    assert test.labels.tolist() == [1]
    assert len(train.skipped) == len(test.skipped) == 1  # without a label, and of a class that train lacks


@pytest.mark.parametrize("column", ["path in a struct", "text", "bytes"])
def test_pictures_by_path_or_bare_bytes(tmp_path: Path, column: str) -> None:
    (tmp_path / "pictures").mkdir()
    for seed in range(2):
        (tmp_path / f"pictures/{seed}.png").write_bytes(encoded(pixels(seed), "PNG"))
    paths = [f"pictures/{seed}.png" for seed in range(2)]
    image = {
        "path in a struct": lambda: pa.array([{"bytes": None, "path": path} for path in paths]),
        "text": lambda: pa.array(paths),
        "bytes": lambda: pa.array(pngs(range(2)), pa.binary()),
    }[column]()
    pq.write_table(pa.table({"image": image, "label": ["cat", "dog"]}), tmp_path / "train-0.parquet")
    data = load(tmp_path)
    assert (data.images == np.stack([pixels(seed) for seed in range(2)])).all()
    (tmp_path / "pictures/0.png").unlink()
    assert data.source == ("parquet copy, pictures as PNG" if column == "bytes" else "parquet copy, pictures as files")
