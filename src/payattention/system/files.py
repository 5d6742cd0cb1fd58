"""Writing files so that a reader never sees half of one."""

import csv
import io
import os
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from payattention.errors import UsageError
from payattention.system.text import as_json, readable, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image


def at_home(path: Path) -> Path:
    """The path with the home folder for a `~` that it begins with; as it is where there is no such home."""
    try:
        return path.expanduser()
    except RuntimeError:  # `~name` of nobody here
        return path


def check_new_file(path: Path, *suffixes: str, option: str = "") -> None:
    """Raises UsageError for a file of another kind than those suffixes, if any, or one that is there already."""
    called = f"{option} {shown(path)}".strip()
    if suffixes and path.suffix.lower() not in suffixes:
        raise UsageError(f"{called}: give it a name that ends in {' or '.join(suffixes)}")
    if path.exists():
        kind = "folder" if path.is_dir() else "file"
        raise UsageError(f"{called}: this {kind} is there already; choose another name")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it takes `path`'s place in one step, else it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{uuid4().hex}.partial{path.suffix}")
    try:
        yield partial
        partial.chmod(0o666 & ~_umask())  # some writers make files that only their owner can read
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def remove_halves(folder: Path) -> None:
    """Removes what `replacing` left in a folder when its process was killed."""
    for half in folder.glob(".*.partial*"):
        half.unlink(missing_ok=True)


_QUICK = {"compress_level": 1, "compress_type": zlib.Z_RLE}
"""How zlib packs a .png: of repeats only those of the last byte. Of photographs with maps over them that makes files a
twentieth larger than Pillow's own way, in a quarter of the time, which is most of it."""


def write_picture(path: Path, image: "Image.Image", **options: Any) -> str:
    """Writes a picture whole or not at all, by options of Pillow's; returns the file's name."""
    if path.suffix == ".png":
        options = {**_QUICK, **options}
    with replacing(path) as partial:
        image.save(partial, **options)
    return path.name


def write_array(path: Path, values: "NDArray[Any]") -> str:
    """Writes an array as .npy, whole or not at all; returns the file's name."""
    import numpy as np

    with replacing(path) as partial:
        np.save(partial, values)
    return path.name


def short_stem(stem: str, most: int = 180) -> str:
    """The beginning of files' names, of at most so many bytes: the names are longer, and file systems take 255."""
    of_names = sys.getfilesystemencoding()
    return readable(stem).encode(of_names, "replace")[:most].decode(of_names, "ignore")


def write_json(path: Path, value: Any) -> None:
    """Writes a value as indented JSON, whole or not at all."""
    write_text(path, as_json(value) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text in UTF-8, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(readable(text), encoding="utf-8", newline="")


def write_table(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Writes a CSV file, whole or not at all."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())


def _umask() -> int:
    mask = os.umask(0)  # there is no way to read it but to set it
    os.umask(mask)
    return mask
