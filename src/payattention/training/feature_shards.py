"""Features that memory has no room for: in shards on disk, each written whole, so that who was stopped goes on.

A shard is a file of plain values: of some pictures in a row, for each level (copies, pictures, h, w, d). Its name has
the checksum of its content, its folder's name a key of all that the features depend on. A shard that is damaged, or of
which a kill left half, is made again.
"""

import math
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from payattention.data.on_disk import OnDisk
from payattention.errors import DataError
from payattention.system.files import remove_halves, replacing
from payattention.system.memory import in_gibibytes
from payattention.system.text import shown

SHARD = 64 * 2**20
"""Bytes that a shard is to have at most; a single batch of the backbone's may have more."""

Pieces = Mapping[str, Tensor]
"""Features by level, (n, d, h, w)."""


@dataclass(frozen=True)
class Sharded:
    """The features of one level, read as they are asked for: `[copy, pictures]`, each a number, a slice or numbers.

    Attributes:
        shape: (copies, N, d, h, w).
        shards: What opens each, rows (h, w, d) of all pictures of a copy after those of the copy before it; they are
            opened when they are read, since there may be more than a process may keep open.
        starts: The first picture of each.
    """

    shape: torch.Size
    shards: Sequence[Callable[[], OnDisk]]
    starts: NDArray[np.int64]

    def __getitem__(self, which: tuple[int | Tensor, slice | Tensor]) -> Tensor:
        """Some of them, (B, d, h, w), channels last in memory."""
        copy, chosen = which
        numbers = np.arange(self.shape[1])[chosen] if isinstance(chosen, slice) else chosen.numpy()
        copies = np.broadcast_to(np.asarray(copy), numbers.shape)
        _, _, d, h, w = self.shape
        rows = np.empty((len(numbers), h, w, d), self.shards[0]().dtype)
        of = np.searchsorted(self.starts, numbers, "right") - 1
        for number in np.unique(of):
            mine, shard = of == number, self.shards[number]()
            pictures = len(shard) // self.shape[0]
            rows[mine] = shard[copies[mine] * pictures + numbers[mine] - self.starts[number]]
        return torch.from_numpy(rows).permute(0, 3, 1, 2)


class Shards:
    """A folder of shards, to be made and then read.

    Args:
        folder: Where they lie; it holds nothing else.
        key: Of all that the features depend on; shards of another key are removed.
        slices: The backbone's batches of pictures, all of them in order; a shard holds some that follow each other.
        copies: Of each picture: itself, and its mirror image where there are two.
        shapes: Of a picture's features, (d, h, w), by level.
        dtype: float16 or float32.
    """

    def __init__(
        self,
        folder: Path,
        key: str,
        slices: Sequence[slice],
        copies: int,
        shapes: Mapping[str, tuple[int, ...]],
        dtype: torch.dtype,
    ) -> None:
        self.folder, self.copies, self.shapes, self.dtype = folder / key, copies, shapes, dtype
        self.each = copies * sum(map(math.prod, shapes.values())) * dtype.itemsize
        pictures = max(1, SHARD // (self.each * (slices[0].stop - slices[0].start)))
        self.groups = [slices[k : k + pictures] for k in range(0, len(slices), pictures)]
        for other in folder.glob("*"):
            if other != self.folder:
                shutil.rmtree(other, ignore_errors=True)
        remove_halves(self.folder)
        self._files: dict[int, Path] = {n: file for n in range(len(self.groups)) if (file := self._whole(n))}

    @property
    def missing(self) -> list[int]:
        """The shards that are to be made, by number."""
        return [number for number in range(len(self.groups)) if number not in self._files]

    @property
    def made(self) -> list[int]:
        """How many pictures each shard has that is there."""
        return [_count(self.groups[number]) for number in self._files]

    def check_room(self) -> None:
        """Raises DataError if the disk has no room for those that are missing."""
        needed = self.each * sum(_count(self.groups[number]) for number in self.missing)
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if needed > 0.9 * free:
            raise DataError(
                f"the backbone's features need {in_gibibytes(needed)}, and {shown(self.folder.parent)} has "
                f"{free / 2**30:.1f} free; take smaller pictures (--image-size) or fewer levels, write elsewhere "
                "(--out), or do not freeze"
            )

    def make(self, computed: Callable[[Sequence[tuple[int, slice]]], Iterator[tuple[int, slice, Pieces]]]) -> None:
        """Makes those that are missing, one after the other, of what `computed` gives of copies and batches."""
        for number in self.missing:
            group = self.groups[number]
            first, count = group[0].start, _count(group)
            values = {
                name: torch.empty(self.copies, count, h, w, d, dtype=self.dtype) for name, (d, h, w) in self._sizes
            }
            for copy, chosen, found in computed([(copy, chosen) for copy in range(self.copies) for chosen in group]):
                for name, piece in found.items():
                    values[name][copy, chosen.start - first : chosen.stop - first] = piece.permute(0, 2, 3, 1)
            self._files[number] = self._write(number, [part.numpy() for part in values.values()])

    def levels(self) -> dict[str, Sharded]:
        """The features by level, when all shards are there."""
        starts = np.array([group[0].start for group in self.groups], np.int64)
        dtype, total = np.dtype(str(self.dtype).removeprefix("torch.")), int(self.groups[-1][-1].stop)
        found, before = {}, 0  # bytes of the levels before this one, of a picture
        for name, (d, h, w) in self._sizes:
            shards = [
                partial(OnDisk, self._files[number], dtype, (count, h, w, d), before * count)
                for number, count in ((k, self.copies * _count(group)) for k, group in enumerate(self.groups))
            ]
            found[name] = Sharded(torch.Size((self.copies, total, d, h, w)), shards, starts)
            before += d * h * w * dtype.itemsize
        return found

    @property
    def _sizes(self) -> list[tuple[str, tuple[int, ...]]]:
        return list(self.shapes.items())

    def _whole(self, number: int) -> Path | None:
        """The file of a shard, if it is there and as it was written."""
        for file in self.folder.glob(f"{number:06d}-*.bin"):
            crc = 0
            with file.open("rb") as opened:
                while piece := opened.read(1 << 22):
                    crc = zlib.crc32(piece, crc)
            if file.stem.endswith(f"-{crc:08x}"):
                return file
            file.unlink()
        return None

    def _write(self, number: int, arrays: Sequence[NDArray[Any]]) -> Path:
        crc = 0
        for array in arrays:
            crc = zlib.crc32(array.data, crc)
        file = self.folder / f"{number:06d}-{crc:08x}.bin"
        try:
            with replacing(file) as half, half.open("wb") as opened:
                for array in arrays:
                    opened.write(array.data)
        except OSError as error:
            raise DataError(f"{shown(file)}: the backbone's features cannot be written ({error.strerror})") from None
        return file


def _count(group: Sequence[slice]) -> int:
    return int(group[-1].stop - group[0].start)
