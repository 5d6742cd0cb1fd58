"""`parquet:PATH`: the Hugging Face image layout, as the Hub's `uoft-cs/cifar10`.

A file, or a folder with `<split>-*.parquet` shards; column `image` is a struct of `bytes` and `path`, column `label`
an integer, and the class names stand in the schema's metadata.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from payattention.data.imageset import ImageSet
from payattention.data.pictures import read_picture, to_size
from payattention.errors import DataError


def parquet(path: Path, split: str, image_size: int | None = None) -> ImageSet:
    """Reads one split; `image_size` None keeps the first picture's size."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    shards = _shards(path, split)
    try:
        tables = [pq.read_table(shard, columns=_columns(shard)) for shard in shards]
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: not a whole parquet file ({str(error).splitlines()[0]})") from None
    table = pa.concat_tables(tables)
    labels = table["label"].to_numpy().astype(np.int64)
    encoded = [row["bytes"] for row in table["image"].to_pylist()]
    if not encoded:
        raise DataError(f"{path}: no rows")
    size = image_size or min(read_picture(encoded[0], f"{shards[0]}, row 0").size)

    def decode(row: int) -> np.ndarray[Any, Any]:
        return to_size(read_picture(encoded[row] or b"", f"{path}, row {row}"), size)

    with ThreadPoolExecutor(max_workers=4) as pool:
        images = np.stack(list(pool.map(decode, range(len(encoded)), chunksize=256)))
    classes = _class_names(table.schema.metadata) or tuple(map(str, range(int(labels.max()) + 1)))
    return ImageSet(f"parquet:{path}", split, images, labels, classes)


def _shards(path: Path, split: str) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder")
    shards = sorted(path.glob(f"{split}-*.parquet")) or sorted(path.glob(f"{split}.parquet"))
    if not shards:
        raise DataError(f"{path}: no {split}-*.parquet in it")
    return shards


def _columns(shard: Path) -> list[str]:
    import pyarrow.parquet as pq

    present = pq.read_schema(shard).names
    for column in ("image", "label"):
        if column not in present:
            raise DataError(f"{shard}: no column {column!r}; it has {', '.join(present)}")
    return ["image", "label"]


def _class_names(metadata: dict[bytes, bytes] | None) -> tuple[str, ...] | None:
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(features["label"]["names"])
    except (KeyError, TypeError, ValueError):
        return None
