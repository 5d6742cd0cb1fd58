"""The published tables as data: which number each cell holds, and which command fills it here.

A table is a TOML file in `tables/`. A column says how its cells are filled: a verb of the program, data and settings;
a row names the network. Numbers stand with the row: `column = [value, deviation, mark]`. A row with a network fills
every column, or those that it lists in `columns`; `control` marks the networks that the paper lacks. A column `of`
another one measures a network that the other column trained; one `beside` another repeats its numbers (a replication).
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from payattention.system.names import check_known

ORDER = (
    "table1", "table2", "figure6", "table3", "table9", "table9_quoted", "authors", "keras", "pytorch",
    "cluttered_digits",
)  # fmt: skip
_FOLDER = files("payattention.reproduce") / "tables"


@dataclass(frozen=True)
class Published:
    """A printed number, its deviation where one is printed, and a mark that the table's notes explain."""

    value: float
    deviation: float | None = None
    mark: str = ""

    @classmethod
    def of(cls, numbers: list[Any]) -> "Published":
        """From `[value]`, `[value, deviation]` or `[value, deviation, mark]`; "-" stands for no deviation."""
        value, deviation, mark = (*numbers, *("-", "")[len(numbers) - 1 :])
        return cls(float(value), None if deviation == "-" else float(deviation), mark)


@dataclass(frozen=True)
class Column:
    """How the cells of a column are filled.

    Attributes:
        name: Its key in the table.
        title: What the table prints above it.
        verb: "train" or a verb that measures a trained network; None where nothing is run.
        data: The data set's name.
        split: "train": not used; else the split that is measured, the verb's own default if None.
        recipe: "train": the recipe's name.
        recipe_set: "train": fields of the recipe that differ.
        epochs: "train": passes over the data; None for the recipe's.
        width: "train": factor on the channels.
        options: Options of every network in this column.
        init_from: "train": column (TABLE/COLUMN) whose weights of the same row are the start.
        of: Other verbs: column (TABLE/COLUMN) that trained the network of the same row.
        arguments: Other verbs: more arguments.
        passes: Other verbs: the cost in forward passes over the data.
        value: Where the number stands in the command's JSON; a table chooses the item of a list that has its values.
        worth: How much a cell of this column tells, against others.
        better: "lower" or "higher"; None for the table's.
        beside: Column (TABLE/COLUMN) whose cells these numbers replicate.
    """

    name: str
    title: str
    verb: str | None = None
    data: str = ""
    split: str | None = None
    recipe: str = "paper"
    recipe_set: Mapping[str, Any] = field(default_factory=dict)
    epochs: int | None = None
    width: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)
    init_from: str | None = None
    of: str | None = None
    arguments: tuple[str, ...] = ()
    passes: float = 1.0
    value: tuple[Any, ...] = ()
    worth: float = 1.0
    better: str | None = None
    beside: str | None = None


@dataclass(frozen=True)
class Row:
    """A network, or another method, with its printed numbers.

    Attributes:
        name: Its key in the table.
        title: What the table prints before it.
        model: Its name here; None where there is nothing to run.
        options: Its options.
        recipe: The recipe, where it is not the column's.
        arguments: More arguments of the verbs that measure it.
        control: Whether it is one of ours, beside the rows that it qualifies.
        columns: The columns that it fills; None for all.
        worth: How much its cells tell, against others.
        beside: The row that it replicates, where that has another name.
        published: Its numbers by column.
    """

    name: str
    title: str
    model: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    recipe: str | None = None
    arguments: tuple[str, ...] = ()
    control: bool = False
    columns: tuple[str, ...] | None = None
    worth: float = 1.0
    beside: str | None = None
    published: Mapping[str, Published] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """One published table: where it stands, what its numbers mean, and its cells; `label` names it among peers."""

    name: str
    title: str
    source: str
    unit: str
    better: str
    columns: Mapping[str, Column]
    rows: Mapping[str, Row]
    notes: tuple[str, ...] = ()
    label: str = ""

    def cells(self) -> Iterator["Cell"]:
        """Those with a printed number or a command, column by column."""
        for column in self.columns.values():
            for row in self.rows.values():
                cell = Cell(self, row, column)
                if cell.published or cell.runnable:
                    yield cell


@dataclass(frozen=True, eq=False)
class Cell:
    """One number of a table."""

    table: Table
    row: Row
    column: Column

    @property
    def id(self) -> str:
        return f"{self.table.name}/{self.row.name}/{self.column.name}"

    @property
    def published(self) -> Published | None:
        return self.row.published.get(self.column.name)

    @property
    def runnable(self) -> bool:
        """Whether a command fills it."""
        wanted = self.row.columns is None or self.column.name in self.row.columns
        return bool(self.row.model and self.column.verb and wanted)

    @property
    def better(self) -> str:
        return self.column.better or self.table.better

    @property
    def worth(self) -> float:
        return self.row.worth * self.column.worth

    @property
    def replicated(self) -> str | None:
        """The cell that this one replicates."""
        if self.column.beside is None:
            return None
        table, column = self.column.beside.split("/")
        return f"{table}/{self.row.beside or self.row.name}/{column}"

    def in_column(self, place: str) -> "Cell":
        """The cell of the same row in another column, TABLE/COLUMN."""
        table, column = place.split("/")
        other = load_tables()[table]
        return Cell(other, other.rows[self.row.name], other.columns[column])


@cache
def load_tables() -> Mapping[str, Table]:
    """All tables by name, in the order in which they are shown."""
    return {name: _table(name) for name in ORDER}


def all_cells() -> dict[str, Cell]:
    """The cells of all tables by their names, TABLE/ROW/COLUMN."""
    return {cell.id: cell for table in load_tables().values() for cell in table.cells()}


def check_tables(names: list[str]) -> None:
    """Raises UsageError for a name that is no table's."""
    check_known("table", ORDER, *names)


def _table(name: str) -> Table:
    content = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    columns = {key: _column(key, fields) for key, fields in content.pop("columns").items()}
    rows = {fields["name"]: _row(fields, columns) for fields in content.pop("rows")}
    notes = tuple(content.pop("notes", ()))
    return Table(name, columns=columns, rows=rows, notes=notes, **content)


def _column(name: str, fields: dict[str, Any]) -> Column:
    lists: dict[str, Any] = {key: tuple(fields.pop(key)) for key in ("arguments", "value") if key in fields}
    return Column(name, **fields, **lists)


def _row(fields: dict[str, Any], columns: Mapping[str, Column]) -> Row:
    published = {key: Published.of(fields.pop(key)) for key in columns if key in fields}
    lists: dict[str, Any] = {key: tuple(fields.pop(key)) for key in ("arguments", "columns") if key in fields}
    return Row(**fields, **lists, published=published)
