"""Arrays of which memory holds only the rows that are asked for, and those that stay in their file.

A memory map would do where the machine's memory is short, but not where a limit is set on the process: a map counts as
a whole. It would also leave the reading to whoever looks at a page first, which is the one who computes.
"""

import math
import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from payattention.errors import DataError
from payattention.system.text import shown


class Rows(ABC):
    """An array of which memory holds the rows that are asked for: `rows[2:9]`, `rows[numbers]` and `rows[5]`.

    Threads may ask at the same time.

    Attributes:
        shape: Of the rows that this stands for, (n, ...).
        dtype: Of the values.
    """

    def __init__(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self.dtype, self.shape = dtype, shape
        self._places: range | NDArray[np.int64] = range(shape[0])

    @abstractmethod
    def _read(self, places: range | NDArray[np.int64]) -> NDArray[Any]:
        """The rows at some places of the whole array."""

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: SupportsIndex | slice | NDArray[np.int64]) -> NDArray[Any]:
        """Rows by slice or by number, (k, ...), or one, (...).

        Raises:
            DataError: They cannot be read.
            IndexError: There is no such row.
        """
        if isinstance(which, slice | np.ndarray):
            return self._read(self.chosen(which)._places)
        place = int(self._places[which])
        row: NDArray[Any] = self._read(range(place, place + 1))[0]
        return row

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[number] for number in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All rows, in memory."""
        whole = self._read(self._places)
        return whole if dtype is None else whole.astype(dtype, copy=False)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many values there are."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def chosen(self, which: slice | NDArray[np.int64]) -> "Rows":
        """Some of the rows, by slice or by number; nothing is read."""
        some = copy(self)
        some._places = _picked(self._places, which)
        some.shape = (len(some._places), *self.shape[1:])
        return some


class OnDisk(Rows):
    """The rows of an array in a file, which stays open: what is read is of the file as it was opened.

    Args:
        file: The array's plain bytes, row after row.
        dtype: Of the values.
        shape: Of the whole array.
        offset: Where in the file it begins, in bytes.

    Raises:
        DataError: In reading, where the file is shorter than it was.
    """

    def __init__(self, file: Path, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int = 0) -> None:
        super().__init__(dtype, shape)
        self._file, self._offset = _Opened(file), offset

    def _read(self, places: range | NDArray[np.int64]) -> NDArray[Any]:
        rows = np.empty((len(places), *self.shape[1:]), self.dtype)
        if not rows.size:
            return rows
        filled = rows.reshape(len(places), -1).view(np.uint8)  # (k, bytes of a row)
        each = filled.shape[1]
        if isinstance(places, range) and places.step == 1:
            self._file.fill(filled.reshape(-1), self._offset + places.start * each)
            return rows
        for number in np.argsort(places, kind="stable"):  # from the file's beginning to its end
            self._file.fill(filled[number], self._offset + int(places[number]) * each)
        return rows


class _Opened:
    """An open file, closed when nobody refers to it."""

    def __init__(self, file: Path) -> None:
        self.path, self.descriptor = file, os.open(file, os.O_RDONLY)
        weakref.finalize(self, os.close, self.descriptor)
        if hasattr(os, "posix_fadvise"):  # rows come in any order: what follows one in the file is not wanted next
            os.posix_fadvise(self.descriptor, 0, 0, os.POSIX_FADV_RANDOM)

    def fill(self, memory: NDArray[np.uint8], offset: int) -> None:
        """Reads as many bytes as there is memory for."""
        done = 0
        while done < len(memory):
            count = os.preadv(self.descriptor, [memory[done:].data], offset + done)
            if not count:
                raise DataError(f"{shown(self.path)}: was cut off while it was read; is another program changing it?")
            done += count


def _picked(places: range | NDArray[np.int64], which: slice | NDArray[np.int64]) -> range | NDArray[np.int64]:
    if isinstance(which, slice):
        return places[which]
    if isinstance(places, np.ndarray):
        return places[which]
    count = len(places)
    numbers = np.asarray(which, np.int64)
    if numbers.size and (numbers.min() < -count or numbers.max() >= count):
        raise IndexError(f"{numbers.max()} is not the number of one of {count} rows")
    return places.start + places.step * np.where(numbers < 0, numbers + count, numbers)
