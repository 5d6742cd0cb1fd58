"""`parquet:PATH`: the Hugging Face image layout, as the Hub's `uoft-cs/cifar10`.

A file, or a folder with `<split>-*.parquet` shards; `all` is all of them. Column `image` (or `img`) is a struct of
`bytes` and `path`, or one of the two; a path is relative to its shard. Column `label` (or `labels`, `fine_label`) is an
integer, whose class names stand in the schema's metadata, or the class's name. Where there is a train split, it has the
names of the classes.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from payattention.data.places import looked_in
from payattention.data.samples import Contents, Listing, Sample
from payattention.errors import DataError
from payattention.system.text import shown

_TEST_NAMES = ("test", "validation", "valid", "val")
_IMAGES = ("image", "img")
_LABELS = ("label", "labels", "fine_label")
_ROWS = 1024  # read from a shard at a time


def parquet(path: Path, split: str) -> Listing:
    """Finds the shards of one split; the rows are read one batch after the other.

    Raises:
        DataError: No such shards.
    """
    shards = shards_of(path, split)
    naming = _naming(path, shards, split)
    files = [*shards, *(shard for shard in naming if shard not in shards)]
    return Listing(path, files, lambda: _contents(path, shards, naming))


def shards_of(path: Path, split: str) -> list[Path]:
    """The parquet files of a split, in order.

    Raises:
        DataError: There are none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{shown(path)}: no such file or folder{looked_in(path)}")
    if split == "all":
        return _shards_of_all(path)
    for name in _TEST_NAMES if split == "test" else (split,):
        for pattern in (f"{name}-*.parquet", f"{name}.parquet", f"data/{name}-*.parquet"):
            if shards := sorted(path.glob(pattern)):
                return shards
    raise DataError(f"{shown(path)}: no {split}-*.parquet in it")


def _shards_of_all(path: Path) -> list[Path]:
    """Those of both splits, or of the one that is there."""
    found = []
    for split in ("train", "test"):
        with suppress(DataError):
            found += shards_of(path, split)
    if not found:
        raise DataError(f"{shown(path)}: no train-*.parquet or test-*.parquet in it")
    return found


@dataclass(frozen=True)
class _Shard:
    """An opened shard, the names of its columns, and whether its labels are the classes' names."""

    path: Path
    file: Any
    image: str
    label: str
    by_name: bool


def _contents(path: Path, paths: list[Path], naming: list[Path]) -> Contents:
    shards = [_opened(shard) for shard in paths]
    count = sum(shard.file.metadata.num_rows for shard in shards)
    if not count:
        raise DataError(f"{shown(path)}: no rows")
    if shards[0].by_name:
        classes = _names_in([_opened(shard) for shard in naming])
    else:
        classes = _class_names(shards[0]) or tuple(map(str, range(_highest(shards) + 1)))
    return Contents(classes, _samples(shards, classes), count, source=f"parquet copy, pictures as {_encoding(shards)}")


def _opened(path: Path) -> _Shard:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError, UnicodeEncodeError) as error:
        raise damaged(path, error) from None
    schema = file.schema_arrow
    _, label = (_column(path, schema.names, known) for known in (_IMAGES, _LABELS))  # both, before what is in them
    image = image_column(path, schema)
    labels = schema.field(label).type
    if not (_is_text(labels) or pa.types.is_integer(labels)):
        raise DataError(f"{shown(path)}: column {label!r} is {labels}; whole numbers or names are needed")
    return _Shard(path, file, image, label, _is_text(labels))


def image_column(path: Path, schema: Any) -> str:
    """The name of the column that holds a file's pictures, by the file's Arrow schema.

    Raises:
        DataError: None does.
    """
    import pyarrow as pa

    image = _column(path, schema.names, _IMAGES)
    kind = schema.field(image).type
    fields = {field.name for field in kind} if pa.types.is_struct(kind) else set()
    if not (fields & {"bytes", "path"} or _is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise DataError(f"{shown(path)}: column {image!r} is {kind}; pictures are a field 'bytes', or 'path'")
    return image


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _naming(path: Path, own: list[Path], split: str) -> list[Path]:
    """The shards whose labels name the classes: those of the train split where there is one."""
    try:
        return own if split == "train" else shards_of(path, "train")
    except DataError:
        return own


def _names_in(shards: list[_Shard]) -> tuple[str, ...]:
    columns = (batch.column(0) for shard in shards for batch in _batches(shard, [shard.label]))
    return tuple(sorted({name.as_py() for column in columns for name in column.unique() if name.is_valid}))


def _column(path: Path, present: list[str], known: tuple[str, ...]) -> str:
    for name in known:
        if name in present:
            return name
    raise DataError(f"{shown(path)}: no column {known[0]!r}; it has {', '.join(present)}")


def _batches(shard: _Shard, columns: list[str]) -> Iterator[Any]:
    import pyarrow as pa

    try:
        yield from shard.file.iter_batches(_ROWS, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise damaged(shard.path, error) from None


def _samples(shards: list[_Shard], classes: tuple[str, ...]) -> Iterator[Sample]:
    numbers = {name: number for number, name in enumerate(classes)}
    for shard in shards:
        row = 0
        for batch in _batches(shard, [shard.image, shard.label]):
            pictures, labels = batch.column(shard.image), batch.column(shard.label)
            for picture, label in zip(pictures, labels, strict=True):
                known = label.as_py() if label.is_valid else -1
                if shard.by_name:
                    known = numbers.get(label.as_py(), -1)
                yield Sample(picture_in(picture.as_py(), shard.path), f"{shown(shard.path)}, row {row}", known)
                row += 1


def picture_in(value: Any, shard: Path) -> bytes | Path:
    """A picture's bytes, or its file, whose path is relative to the shard."""
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    return shard.parent / value if isinstance(value, str) else value or b""


def _highest(shards: list[_Shard]) -> int:
    import pyarrow.compute as pc

    highest = [
        pc.max(batch.column(shard.label)).as_py() for shard in shards for batch in _batches(shard, [shard.label])
    ]
    return max((label for label in highest if label is not None), default=0)


def _encoding(shards: list[_Shard]) -> str:
    """The format of the first picture: whether a copy was compressed with loss matters to every number made with it."""
    for picture in (sample.picture for sample in _samples(shards[:1], ())):
        if not isinstance(picture, bytes):
            return "files"
        if picture[:3] == b"\xff\xd8\xff":
            return "JPEG"
        if picture[:4] == b"RIFF":
            return "lossless WebP" if picture[12:16] == b"VP8L" else "WebP"
        return "PNG" if picture[:4] == b"\x89PNG" else "encoded by another format"
    return "none"


def _class_names(shard: _Shard) -> tuple[str, ...] | None:
    try:
        features = json.loads((shard.file.schema_arrow.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(map(str, features[shard.label]["names"]))
    except (KeyError, TypeError, ValueError):
        return None


def damaged(path: Path, error: Exception) -> DataError:
    reason = (str(error).splitlines() or ["unreadable"])[0]
    return DataError(f"{shown(path)}: not a whole parquet file ({reason})")
