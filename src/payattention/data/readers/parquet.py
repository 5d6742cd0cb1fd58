"""`parquet:PATH`: the Hugging Face image layout, as the Hub's `uoft-cs/cifar10`.

A file, or a folder with `<split>-*.parquet` shards; column `image` (or `img`) is a struct of `bytes` and `path`,
column `label` (or `fine_label`) an integer, and the class names stand in the schema's metadata.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from payattention.data.places import looked_in
from payattention.data.samples import Contents, Listing, Sample
from payattention.errors import DataError
from payattention.pictures.reading import shown

_TEST_NAMES = ("test", "validation", "valid", "val")
_IMAGES = ("image", "img")
_LABELS = ("label", "fine_label")
_ROWS = 1024  # read from a shard at a time


def parquet(path: Path, split: str) -> Listing:
    """Finds the shards of one split; the rows are read one batch after the other.

    Raises:
        DataError: No such shards.
    """
    shards = shards_of(path, split)
    return Listing(path, shards, lambda: _contents(path, shards))


def shards_of(path: Path, split: str) -> list[Path]:
    """The parquet files of a split, in order.

    Raises:
        DataError: There are none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{shown(path)}: no such file or folder{looked_in(path)}")
    for name in _TEST_NAMES if split == "test" else (split,):
        for pattern in (f"{name}-*.parquet", f"{name}.parquet", f"data/{name}-*.parquet"):
            if shards := sorted(path.glob(pattern)):
                return shards
    raise DataError(f"{shown(path)}: no {split}-*.parquet in it")


@dataclass(frozen=True)
class _Shard:
    """An opened shard, and the names of its columns."""

    path: Path
    file: Any
    image: str
    label: str


def _contents(path: Path, paths: list[Path]) -> Contents:
    shards = [_opened(shard) for shard in paths]
    count = sum(shard.file.metadata.num_rows for shard in shards)
    if not count:
        raise DataError(f"{shown(path)}: no rows")
    classes = _class_names(shards[0]) or tuple(map(str, range(_highest(shards) + 1)))
    return Contents(classes, _samples(shards), count, source=f"parquet copy, pictures as {_encoding(shards)}")


def _opened(path: Path) -> _Shard:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path.open("rb"))
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from None
    schema = file.schema_arrow
    image, label = (_column(path, schema.names, known) for known in (_IMAGES, _LABELS))
    kind = schema.field(image).type
    if not (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0):
        raise DataError(f"{shown(path)}: column {image!r} is {kind}; a struct with a field 'bytes' is needed")
    if not pa.types.is_integer(schema.field(label).type):
        raise DataError(f"{shown(path)}: column {label!r} is {schema.field(label).type}; whole numbers are needed")
    return _Shard(path, file, image, label)


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
        raise _damaged(shard.path, error) from None


def _samples(shards: list[_Shard]) -> Iterator[Sample]:
    for shard in shards:
        row = 0
        for batch in _batches(shard, [shard.image, shard.label]):
            pictures, labels = batch.column(shard.image).field("bytes"), batch.column(shard.label)
            for picture, label in zip(pictures, labels, strict=True):
                known = label.as_py() if label.is_valid else -1
                yield Sample(picture.as_py() or b"", f"{shown(shard.path)}, row {row}", known)
                row += 1


def _highest(shards: list[_Shard]) -> int:
    import pyarrow.compute as pc

    highest = [
        pc.max(batch.column(shard.label)).as_py() for shard in shards for batch in _batches(shard, [shard.label])
    ]
    return max((label for label in highest if label is not None), default=0)


def _encoding(shards: list[_Shard]) -> str:
    """The format of the first picture: whether a copy was compressed with loss matters to every number made with it."""
    for picture in (sample.picture for sample in _samples(shards[:1])):
        assert isinstance(picture, bytes)
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


def _damaged(path: Path, error: Exception) -> DataError:
    reason = (str(error).splitlines() or ["unreadable"])[0]
    return DataError(f"{shown(path)}: not a whole parquet file ({reason})")
