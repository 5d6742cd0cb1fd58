"""Printing: results on standard output, everything else on standard error."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def progress_console() -> "Console":
    """Where progress goes: standard error; of several processes the first shows it."""
    from rich.console import Console

    from payattention.system.processes import here

    return Console(stderr=True, quiet=not here().first)


def print_json(result: Any) -> None:
    """One JSON object on standard output."""
    value = asdict(result) if is_dataclass(result) and not isinstance(result, type) else result
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """A table on standard output; columns whose cells are all numbers are right-aligned."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    cells = [[_cell(value) for value in row] for row in rows]
    numeric = [all(_is_number(row[c]) for row in cells) for c in range(len(columns))]
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name, right in zip(columns, numeric, strict=True):
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in cells:
        table.add_row(*row)
    # piped output is not cut to a terminal's width
    Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False).print(table)


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _is_number(cell: str) -> bool:
    return cell.replace(",", "").replace(".", "", 1).lstrip("-").isdigit()
