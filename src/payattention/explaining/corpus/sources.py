"""Where a corpus's pictures lie: a folder, a list of paths, parquet files with images, WebDataset's tars.

    photos/          a folder: its pictures and those of the folders in it
    photos.txt       a list: a path a line, from the current folder on
    train.parquet    parquet with images in the Hugging Face layout, or a folder of such files
    shard-0000.tar   WebDataset: pictures in an uncompressed tar, or a folder of such files

The order of the pictures, and what each is called (its id), depend on nothing but what lies there: names in order. No
picture is read to find them.
"""

import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote_from_bytes

from payattention.data.readers.parquet import damaged, image_column, picture_in
from payattention.errors import DataError
from payattention.pictures.finding import looked_through
from payattention.pictures.kinds import is_picture
from payattention.system.text import readable, shown

Content = Path | bytes | DataError
"""A picture that is to be decoded: its file, its bytes, or why there are none."""
_ROWS = 32  # that are read from a parquet file at a time


class Input(NamedTuple):
    """A picture of a corpus.

    Attributes:
        id: What it is called: from the source on, the file's path; in a parquet file `train.parquet:12`, its row; in a
            tar `shard-0000.tar/cat.jpg`. As text, whatever bytes a file's name holds.
        file: The absolute path of the file that it is, or that it lies in.
        at: Its row in a parquet file, or its first byte in a tar.
        length: Of the bytes in a tar.
    """

    id: str
    file: str
    at: int = 0
    length: int = 0


@dataclass(frozen=True)
class Corpus:
    """The pictures of a source.

    Attributes:
        kind: A name of `KINDS`.
        path: Of the source.
        inputs: Its pictures, in order; no two have the same id.
        left_out: What lies there and is not read, a line each.
    """

    kind: str
    path: Path
    inputs: Sequence[Input]
    left_out: Sequence[str] = ()

    @classmethod
    def of(cls, path: Path) -> "Corpus":
        """What a user names.

        Raises:
            DataError: No such file, no pictures, a folder of several kinds, or a file that is none of these.
        """
        kind, files = _kind_of(path)
        left_out: list[str] = []
        found: dict[str, Input] = {}
        twice = 0
        for one in KINDS[kind].find(path, files, left_out):
            twice += found.setdefault(one.id, one) is not one
        if not found:
            why = f": {left_out[0]}" if left_out else ""
            raise DataError(f"{shown(path)}: no pictures in it{why}")
        if twice:
            left_out.append(f"{shown(path)}: named more than once, and taken once: {twice:,}")
        return cls(kind, path.absolute(), list(found.values()), left_out)


def contents(kind: str, inputs: Iterable[Input]) -> Iterator[tuple[Input, Content]]:
    """Some pictures, in order, as they can be decoded; of files that hold many, little is in memory at a time."""
    return KINDS[kind].read(inputs)


def _kind_of(path: Path) -> tuple[str, list[Path]]:
    """The kind of a source, and the files that hold its pictures or name them."""
    if path.is_file():
        kind = next((kind for kind, own in KINDS.items() if path.suffix.lower() in own.suffixes), None)
        if kind is None:
            raise DataError(
                f"{shown(path)}: a corpus is a folder of pictures, a list of paths (.txt), .parquet files with images, "
                "or WebDataset's .tar files"
            )
        return kind, [path]
    if not path.is_dir():
        raise DataError(f"{shown(path)}: no such file or folder")
    held = {
        kind: sorted(file for pattern in own.within for file in path.glob(pattern) if file.is_file())
        for kind, own in KINDS.items()
    }
    kinds = [kind for kind, files in held.items() if files]
    if not kinds:
        return "folder", []
    if len(kinds) > 1 or looked_through(path).pictures:
        others = f".{kinds[1]} files" if len(kinds) > 1 else "pictures"
        raise DataError(f"{shown(path)}: it holds .{kinds[0]} files as well as {others}; name those that are meant")
    return kinds[0], held[kinds[0]]


def _in_folder(path: Path, files: Sequence[Path], left_out: list[str]) -> Iterator[Input]:
    try:
        inside = looked_through(path)
    except OSError as error:
        raise DataError(f"{shown(path)}: cannot be read ({error.strerror})") from None
    left_out += inside.left_out.values()
    root = path.absolute()
    for picture in inside.pictures:
        yield Input(_text(picture.relative_to(path).as_posix()), os.fspath(root / picture.relative_to(path)))


def _in_list(path: Path, files: Sequence[Path], left_out: list[str]) -> Iterator[Input]:
    for line in path.read_bytes().splitlines():
        if line.strip():
            name = os.fsdecode(line)
            yield Input(_text(name), os.fspath(Path(name).absolute()))


def _in_parquet(path: Path, files: Sequence[Path], left_out: list[str]) -> Iterator[Input]:
    for file in files:
        parquet, _ = _opened(file)
        name, place = _from(path, file), os.fspath(file.absolute())
        yield from (Input(f"{name}:{row}", place, row) for row in range(parquet.metadata.num_rows))


def _in_tars(path: Path, files: Sequence[Path], left_out: list[str]) -> Iterator[Input]:
    for file in files:
        name, place, count = _from(path, file), os.fspath(file.absolute()), 0
        try:
            with tarfile.open(file, "r:") as tar:
                for member in tar:
                    if member.isfile() and is_picture(Path(member.name)):
                        yield Input(f"{name}/{_text(member.name)}", place, member.offset_data, member.size)
                        count += 1
        except (tarfile.TarError, OSError) as error:
            left_out.append(f"{shown(file)}: not a whole uncompressed tar after {count:,} pictures ({error})")


def _files(inputs: Iterable[Input]) -> Iterator[tuple[Input, Content]]:
    return ((one, Path(one.file)) for one in inputs)


def _from_tars(inputs: Iterable[Input]) -> Iterator[tuple[Input, Content]]:
    for file, own in groupby(inputs, key=lambda one: one.file):
        waiting = list(own)
        try:
            with Path(file).open("rb") as tar:
                while waiting:
                    tar.seek(waiting[0].at)
                    content = tar.read(waiting[0].length)
                    yield waiting.pop(0), content
        except OSError as error:
            why = DataError(f"{shown(Path(file))}: cannot be read ({error.strerror})")
            yield from ((one, why) for one in waiting)


def _from_parquet(inputs: Iterable[Input]) -> Iterator[tuple[Input, Content]]:
    for file, own in groupby(inputs, key=lambda one: one.file):
        wanted = {one.at: one for one in own}
        try:
            for row, content in _rows(Path(file), sorted(wanted)):
                yield wanted.pop(row), content
        except DataError as error:
            yield from ((one, error) for one in wanted.values())


def _rows(file: Path, wanted: Sequence[int]) -> Iterator[tuple[int, Content]]:
    """The pictures of some rows; only the row groups that hold them are read.

    Raises:
        DataError: The file is damaged, from this row on.
    """
    import pyarrow as pa

    parquet, image = _opened(file)
    rows, first = set(wanted), 0
    try:
        for group in range(parquet.num_row_groups):
            row, first = first, first + parquet.metadata.row_group(group).num_rows
            if not any(row <= one < first for one in wanted):
                continue
            for batch in parquet.iter_batches(_ROWS, row_groups=[group], columns=[image]):
                for place in range(len(batch)):
                    if row + place in rows:
                        yield row + place, picture_in(batch.column(0)[place].as_py(), file)
                row += len(batch)
    except (pa.ArrowException, OSError) as error:
        raise damaged(file, error) from None


def _opened(file: Path) -> tuple[Any, str]:
    """A parquet file, and the name of the column that holds its pictures."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        parquet = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise damaged(file, error) from None
    return parquet, image_column(file, parquet.schema_arrow)


def _from(path: Path, file: Path) -> str:
    """A file's name from a source on."""
    return _text(file.name if file == path else file.relative_to(path).as_posix())


def _text(name: str) -> str:
    """A name as text; one of bytes that are not UTF-8 with `%` and their numbers."""
    return name if readable(name) == name else quote_from_bytes(os.fsencode(name))


class _Kind(NamedTuple):
    """How the pictures of a kind of source are found and read.

    Attributes:
        suffixes: Of a file that is such a source.
        within: Patterns of the files that make a folder one.
        find: Of a source, its files and a list to add to what is left out: the pictures.
        read: Of some pictures: each with what can be decoded.
    """

    suffixes: tuple[str, ...]
    within: tuple[str, ...]
    find: Callable[[Path, Sequence[Path], list[str]], Iterator[Input]]
    read: Callable[[Iterable[Input]], Iterator[tuple[Input, Content]]]


KINDS = {
    "folder": _Kind((), (), _in_folder, _files),
    "list": _Kind((".txt", ".list"), (), _in_list, _files),
    "parquet": _Kind((".parquet",), ("*.parquet", "data/*.parquet"), _in_parquet, _from_parquet),
    "tar": _Kind((".tar",), ("*.tar",), _in_tars, _from_tars),
}
"""The kinds of sources, by name."""
