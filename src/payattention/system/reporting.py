"""How numbers are shown: a table, and a share in per cent."""

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, SupportsFloat

if TYPE_CHECKING:
    from rich import table

_NUMBER = re.compile(r"-?\d[\d,]*(\.\d+)?( ±\d+(\.\d+)?)?")
WIDTH = 160
"""Characters of a line where there is no terminal."""


def per_cent(share: SupportsFloat, digits: int = 3) -> float:
    """A share, 0 ... 1, as results give it: in per cent, rounded to so many digits."""
    return round(100 * float(share), digits)


@dataclass(frozen=True)
class Table:
    """Rows under headings, as text or on a rich console; columns whose cells are all numbers are right-aligned.

    None is shown as a dash.
    """

    columns: Sequence[str]
    rows: Iterable[Sequence[object]]
    title: str | None = None

    def __rich__(self) -> "table.Table":
        from rich import box, table

        cells = [[_cell(value) for value in row] for row in self.rows]
        shown = table.Table(title=self.title, title_justify="left", box=box.SIMPLE_HEAD)
        for number, name in enumerate(self.columns):
            right = all(_is_number(row[number]) for row in cells)
            shown.add_column(name, justify="right" if right else "left", overflow="fold")
        for row in cells:
            shown.add_row(*row)
        return shown

    def __str__(self) -> str:
        from rich.console import Console

        text = io.StringIO()
        Console(file=text, width=WIDTH, highlight=False, markup=False).print(self)
        return text.getvalue().rstrip()


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _is_number(cell: str) -> bool:
    """Whether a cell is a number, perhaps with how far it may be off, or a dash where there is none."""
    return cell == "-" or _NUMBER.fullmatch(cell) is not None
