"""The slices of time that a job was worked at.

A file of slices has a line for each: its beginning and its end, in seconds of the clock. The beginning is written at
once. A slice whose runner was killed before it could write the end ended with the last sign of the command's life:
what it wrote last.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def timed_slice(file: Path, written: Iterable[Path]) -> Iterator[None]:
    """Notes a slice; `written` is where its command, and the one of an open slice before it, leave signs of life."""
    close_slice(file, written)
    _append(file, f"{time.time():.2f}")
    try:
        yield
    finally:
        _append(file, f" {time.time():.2f}\n")


def close_slice(file: Path, written: Iterable[Path]) -> None:
    """Ends a slice that is still open."""
    lines = _lines(file)
    if lines and len(lines[-1]) == 1:
        signs = [place.stat().st_mtime for place in written if place.exists()]
        _append(file, f" {max(lines[-1][0], *signs):.2f}\n")


def slice_lengths(file: Path) -> list[float]:
    """The seconds of every slice that has ended."""
    return [line[1] - line[0] for line in _lines(file) if len(line) == 2]


def _lines(file: Path) -> list[list[float]]:
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    return [[float(word) for word in line.split()] for line in text.splitlines()]


def _append(file: Path, text: str) -> None:
    with file.open("a", encoding="utf-8") as slices:
        slices.write(text)
