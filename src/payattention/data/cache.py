"""Decoded once, used many times: the pictures of a split as files that are mapped, or read where memory is short.

A cache is a folder with the plain bytes of images, labels, masks and names, and `meta.json`: their shapes, their
checksums, and a key of the files they were made from. It is made under another name and takes its place in one step, so
a reader never sees half of one, and two processes that make the same one do not disturb each other: the first one's
stays. One that is damaged, or whose files have changed, is made again.
"""

import json
import math
import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from payattention.data.decoding import Block, Form, blocks
from payattention.data.imageset import ImageSet
from payattention.data.on_disk import OnDisk
from payattention.data.places import cache_root
from payattention.data.samples import Contents, Listing
from payattention.errors import DataError, none_of
from payattention.system.memory import fits
from payattention.system.text import shown

_FORMAT = 3  # raised whenever the same files would be decoded differently
_META = "meta.json"
_STALE = 24 * 3600.0  # seconds after which an unfinished cache was left behind by a process that died


@dataclass(frozen=True)
class _Part:
    """One file of a cache: an array's raw bytes."""

    dtype: str
    shape: list[int]
    crc: int

    @property
    def size(self) -> int:
        """In bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def cached(
    name: str,
    split: str,
    form: Form,
    listing: Listing,
    root: Path | None = None,
    console: Console | None = None,
    check: Callable[[tuple[str, ...]], None] | None = None,
    from_disk: bool = False,
) -> ImageSet:
    """The images of a split, in a form, from the cache or decoded into it.

    Where they must be decoded, `check` is first called with the names of their classes. What memory has no room for,
    and whatever is asked for `from_disk`, is not mapped but read from its file a few images at a time.

    Raises:
        DataError: No picture can be read, or there is no room for the cache.
    """
    folder = cache_root(root) / _folder_name(name, split, form, listing.place)
    key = _key(listing)
    found = _open(folder, key, name, split, from_disk)
    if found is None:
        contents = listing.open()
        if check is not None:
            check(contents.classes)
        _make(folder, key, name, contents, form, console)
        found = _open(folder, key, name, split, from_disk)
        if found is None:
            raise DataError(f"{shown(folder)}: cannot be read back; is another program changing it?")
    return replace(found, crop_mode=form.crop_mode)


def _folder_name(name: str, split: str, form: Form, place: Path) -> str:
    readable = "".join(c if c.isascii() and c.isalnum() else "_" for c in name)[-40:].strip("_")
    square = f"{form.size or 'own'}" if form.crop_mode == "center" else f"{form.size or 'own'}-{form.crop_mode}"
    square += "" if form.channels == 3 else f"-{form.channels}ch"
    return f"{readable}-{split}-{square}-{sha256(os.fsencode(place.resolve())).hexdigest()[:10]}"


def _key(listing: Listing) -> str:
    content = sha256(f"{_FORMAT}".encode())
    for file in listing.files:
        try:
            facts = file.stat()
        except OSError:  # a dangling link; decoding will say so
            content.update(os.fsencode(file) + b"\0missing\0")
        else:
            content.update(os.fsencode(file) + f"\0{facts.st_size} {facts.st_mtime_ns}\0".encode())
    return content.hexdigest()


def _open(folder: Path, key: str, name: str, split: str, from_disk: bool) -> ImageSet | None:
    """The cached set; None where it is missing, out of date or damaged."""
    try:
        meta = json.loads((folder / _META).read_text(encoding="utf-8"))
        if meta["key"] != key:
            return None
        parts = {part: _Part(**facts) for part, facts in meta["parts"].items()}
        apart = from_disk or not fits(sum(facts.size for facts in parts.values()))
        arrays = {part: _array(folder / part, facts, apart and part != "names") for part, facts in parts.items()}
        return ImageSet(
            name,
            split,
            arrays["images"],
            np.array(arrays["labels"]),
            tuple(meta["classes"]),
            arrays.get("masks"),
            source=meta["source"],
            skipped=tuple(meta["skipped"]),
            names=arrays["names"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _array(file: Path, part: _Part, apart: bool) -> Any:
    """A whole file's array: mapped, or to be read row by row."""
    if _checksum(file) != part.crc:
        raise ValueError(f"{file}: damaged")
    if apart:
        return OnDisk(file, np.dtype(part.dtype), tuple(part.shape))
    # copy on write: the file stays as it is, and torch takes the array without a copy or a complaint
    return np.memmap(file, np.dtype(part.dtype), "c", shape=tuple(part.shape))


def _checksum(file: Path) -> int:
    crc, piece = 0, bytearray(1 << 22)
    with file.open("rb", buffering=0) as opened:
        while count := opened.readinto(piece):
            crc = zlib.crc32(memoryview(piece)[:count], crc)
    return crc


def _make(
    folder: Path,
    key: str,
    name: str,
    contents: Contents,
    form: Form,
    console: Console | None,
) -> None:
    partial = folder.with_name(f".{folder.name}.{uuid4().hex}.partial")
    try:
        partial.mkdir(parents=True)
        _remove_leftovers(folder)
        with closing(blocks(contents, form, console)) as decoded:
            parts, problems = _write(partial, decoded)
        problems = [*contents.problems, *problems]
        if not parts["images"].shape[0]:
            raise none_of(f"the {contents.count:,} pictures of {name}", "read", _first(problems))
        meta = {
            "key": key,
            "parts": {part: asdict(facts) for part, facts in parts.items()},
            "classes": contents.classes,
            "source": contents.source,
            "skipped": problems,
        }
        (partial / _META).write_text(json.dumps(meta), encoding="utf-8")
        if _open(folder, key, name, "", True) is None:  # else another process was faster
            _put_in_place(partial, folder)
    except OSError as error:
        raise DataError(
            f"{shown(folder.parent)}: the decoded pictures of {name} cannot be kept there ({error.strerror}); "
            "make room, or set PAYATTENTION_CACHE to a folder elsewhere"
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(folder: Path, decoded: Iterable[Block]) -> tuple[dict[str, _Part], list[str]]:
    """Writes block after block; plain writes, since a full disk under a memory map would kill the process."""
    parts: dict[str, _Part] = {}
    names: list[bytes] = []
    problems: list[str] = []
    with ExitStack() as stack:
        files = {part: stack.enter_context((folder / part).open("wb")) for part in ("images", "labels", "masks")}
        for block in decoded:
            problems += block.problems
            names += [os.fsencode(name) for name in block.names]
            arrays: dict[str, NDArray[Any] | None] = {
                "images": block.images,
                "labels": block.labels,
                "masks": block.masks,
            }
            for part, array in arrays.items():
                if array is None:
                    continue
                written = array.tobytes()
                files[part].write(written)
                before = parts.get(part, _Part(array.dtype.str, [0, *array.shape[1:]], 0))
                shape = [before.shape[0] + len(array), *array.shape[1:]]
                parts[part] = _Part(before.dtype, shape, zlib.crc32(written, before.crc))
    parts["names"] = _names(folder / "names", names)
    return parts, problems


def _names(file: Path, names: list[bytes]) -> _Part:
    """Writes names as one array, each in as many bytes as the longest has."""
    array = np.array(names, np.bytes_)
    file.write_bytes(written := array.tobytes())
    return _Part(array.dtype.str, [len(array)], zlib.crc32(written))


def _put_in_place(partial: Path, folder: Path) -> None:
    if folder.exists():  # out of date or damaged
        old = folder.with_name(f".{folder.name}.{uuid4().hex}.partial")
        with suppress(FileNotFoundError):  # another process has removed it
            folder.rename(old)
        shutil.rmtree(old, ignore_errors=True)
    try:
        partial.rename(folder)
    except OSError:
        if not (folder / _META).is_file():  # else another process was faster by a moment
            raise


def _remove_leftovers(folder: Path) -> None:
    for left in folder.parent.glob(".*.partial"):
        try:
            last_written = max(path.stat().st_mtime for path in (left, *left.iterdir()))
            if time.time() - last_written > _STALE:
                shutil.rmtree(left, ignore_errors=True)
        except FileNotFoundError:
            continue


def _first(problems: list[str]) -> str:
    return problems[0] if problems else "it is empty"
