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
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from payattention.errors import UsageError
from payattention.system.names import check_known
from payattention.system.validation import checked, takes, within

ORDER = (
    "table1", "table2", "figure6", "table3", "table9", "table9_quoted", "authors", "keras", "pytorch",
    "cluttered_digits",
)  # fmt: skip
_FOLDER = files("payattention.reproduce") / "tables"

_Better = Literal["lower", "higher"]
_Factor = Annotated[float, Field(gt=0)]
_Texts = Annotated[tuple[str, ...], Field(strict=False)]
_Pair = Annotated[tuple[str, str], Field(strict=False)]
_Place = Annotated[str, Field(pattern=r"^\w+/\w+$"), takes("TABLE/COLUMN")]


@checked(frozen=True)
class Published:
    """A printed number in per cent, its deviation if one is printed ("-": none), and a mark that the notes explain."""

    value: Annotated[float, Field(ge=0, le=100)]
    deviation: Annotated[_Factor | None, BeforeValidator(lambda it: None if it == "-" else it)] = None
    mark: str = ""


@checked(frozen=True)
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
    verb: Literal["train", "evaluate", "segment", "attack", "transfer"] | None = None
    data: str = ""
    split: str | None = None
    recipe: str = "paper"
    recipe_set: Mapping[str, Any] = field(default_factory=dict)
    epochs: Annotated[int | None, Field(ge=1)] = None
    width: _Factor = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)
    init_from: _Place | None = None
    of: _Place | None = None
    arguments: _Texts = ()
    passes: _Factor = 1.0
    value: Annotated[tuple[Any, ...], Field(strict=False)] = ()
    worth: _Factor = 1.0
    better: _Better | None = None
    beside: _Place | None = None

    @model_validator(mode="after")
    def _check_command(self) -> "Column":
        if self.verb and not (self.data and self.value):
            raise ValueError("a column with a verb names its data, and where the number stands: value")
        if self.verb not in (None, "train") and not self.of:
            raise ValueError("a column that measures says of which column's networks: of")
        return self


@checked(frozen=True)
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
    arguments: _Texts = ()
    control: bool = False
    columns: _Texts | None = None
    worth: _Factor = 1.0
    beside: str | None = None
    published: Mapping[str, Published] = field(default_factory=dict)


@checked(frozen=True)
class Claim:
    """What a table is read for: in each pair the first row's number is said to be better than the second's."""

    text: str
    pairs: Annotated[tuple[_Pair, ...], Field(strict=False, min_length=1)]


@checked(frozen=True)
class Table:
    """One published table: where it stands, what its numbers mean, and its cells; `label` names it among peers."""

    name: str
    title: str
    source: str
    unit: str
    better: _Better
    columns: Mapping[str, Column]
    rows: Mapping[str, Row]
    notes: _Texts = ()
    claims: tuple[Claim, ...] = ()
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
    return {name: table_of(name, (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")) for name in ORDER}


def all_cells() -> dict[str, Cell]:
    """The cells of all tables by their names, TABLE/ROW/COLUMN."""
    return {cell.id: cell for table in load_tables().values() for cell in table.cells()}


def check_tables(names: list[str]) -> None:
    """Raises UsageError for a name that is no table's."""
    check_known("table", ORDER, *names)


def table_of(name: str, text: str) -> Table:
    """A table from its file's text.

    Raises:
        UsageError: A wrong or unknown field, or none where one is needed; the message says of which column or row.
    """
    content = tomllib.loads(text)
    columns, rows = {}, {}
    with within(f"tables/{name}.toml"):
        for key, fields in content.pop("columns").items():
            with within(f"column {key}"):
                columns[key] = Column(key, **fields)
        for fields in content.pop("rows"):
            with within(f"row {fields.get('name', fields.get('title'))}"):
                rows[fields["name"]] = _row(fields, columns)
        claims = tuple(_claim(fields, rows) for fields in content.pop("claims", ()))
        return Table(name, columns=columns, rows=rows, claims=claims, **content)


def _claim(fields: Mapping[str, Any], rows: Mapping[str, Row]) -> Claim:
    with within(f"claim {fields.get('text')}"):
        claim = Claim(**fields)
        check_known("row", rows, *(row for pair in claim.pairs for row in pair))
        return claim


def _row(fields: Mapping[str, Any], columns: Mapping[str, Column]) -> Row:
    published = {}
    for key in (key for key in columns if key in fields):
        with within(key):
            if not isinstance(fields[key], list):
                raise UsageError(f"a list is needed, as [{fields[key]}]")
            published[key] = Published(*fields[key])
    row = Row(**{key: value for key, value in fields.items() if key not in columns}, published=published)
    check_known("column", columns, *(row.columns or ()))
    return row
