"""Printing: results on standard output, everything else on standard error."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from payattention.system.reporting import WIDTH, Table
from payattention.system.text import as_json, shown

if TYPE_CHECKING:
    from rich.console import Console

    from payattention.evaluation.result import ClassResult, Result

_LINES = 50  # of what was left out


def progress_console() -> "Console":
    """Where progress goes: standard error; of several processes the first shows it."""
    from rich.console import Console

    from payattention.system.processes import here

    return Console(stderr=True, quiet=not here().first)


def print_json(result: Mapping[str, Any]) -> None:
    """One JSON object on standard output."""
    in_unicode = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    sys.stdout.write(as_json(result, ascii_only=not in_unicode, allow_nan=True) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """A table on standard output."""
    _print(Table(columns, rows, title))


def print_page(html: Path, count: int) -> None:
    """Where the page of a gallery is, and how large."""
    print(f"gallery: {shown(html)} ({count:,} picture{'s' * (count != 1)}, {html.stat().st_size / 1e6:.1f} MB)")


def print_result(result: "Result") -> None:
    """The tables and sentences of a measurement on standard output."""
    for part in result.report():
        _print(part) if isinstance(part, Table) else print(part)


def print_left_out(lines: Sequence[str], of: str = "") -> None:
    """What had to be left out, a line each and, where it is more than one, how much in all; on standard error."""
    for line in lines[:_LINES]:
        print(f"left out: {line}", file=sys.stderr)
    if len(lines) > 1:
        print(f"left out in all: {len(lines):,}{f' (of {of})' if of else ''}", file=sys.stderr)


def print_class_notes(result: "ClassResult") -> None:
    """In what the set's classes are not the model's, on standard error."""
    for note in result.class_notes():
        print(f"note: {note}", file=sys.stderr)


def _print(table: Table) -> None:
    from rich.console import Console

    # piped output is not cut to a terminal's width
    Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False, markup=False).print(table)
