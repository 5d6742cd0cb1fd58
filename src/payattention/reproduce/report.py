"""The report: published, peers' and our numbers side by side, as a page and pictures, from committed files alone.

The page's words stand in the template `results.md.j2`, which is filled with the sections made here. A picture of a
table has a panel for a column and in it a line for a cell. The same numbers give the same bytes: a picture holds no
date and no version, but a digest of what was drawn.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from payattention.data import CATALOGUE
from payattention.errors import DataError
from payattention.reproduce.jobs import Departures
from payattention.reproduce.ours import Ours, ours
from payattention.reproduce.results import Result, read_results, read_stock
from payattention.reproduce.scale import SCALES, Measured, Order, Verdict, order, verdict
from payattention.reproduce.tables import Cell, Published, Row, Table, all_cells, load_tables
from payattention.system.files import replacing, write_text

PAGE, PICTURES = "results.md", "results"
DIGEST = "Description"
"""The text field of a picture that holds the digest."""
_LINE = 0.24  # inches
_STYLES = {  # marker, colour, filled; the colours are viridis'
    "published": ("o", "#440154", True),
    "peers": ("D", "#31688e", False),
    "ours": ("s", "#35b779", True),
    "ours, with departures": ("s", "#35b779", False),
}


@dataclass(frozen=True)
class Dot:
    """One number: whose it is (a key of the legend), its value, and its deviation where there is one."""

    kind: str
    value: float
    deviation: float | None = None


_Panels = Mapping[str, Mapping[str, Sequence[Dot]]]
"""By column, by the labels of its lines."""


@dataclass(frozen=True)
class _Line:
    """A cell with all that the report knows of it.

    Attributes:
        cell: The cell.
        peers: The numbers that replicate it, each with its table's label.
        ours: What was measured for it.
        reason: Why nothing was; empty where there is nothing to run.
    """

    cell: Cell
    peers: tuple[tuple[str, float], ...]
    ours: tuple[Ours, ...]
    reason: str


@dataclass(frozen=True)
class _Matrix:
    """Published numbers alone: the columns' titles, and each network with its number in every column."""

    columns: list[str]
    rows: list[tuple[Row, list[Published | None]]]


@dataclass(frozen=True)
class _AtScale:
    """A column of a table at a scale: its lines, and what they say of the published order and of the table's claims."""

    lines: list[_Line]
    order: Order | None
    verdicts: list[Verdict]


@dataclass(frozen=True)
class _Section:
    """What the page shows of a table.

    Attributes:
        table: The table.
        columns: Those with numbers of peers' or ours, shown in full.
        panels: Its picture; empty where it has none.
        matrix: The published numbers of the other columns; None where there are none.
        not_run: Reasons why cells of the other columns were not run, each with the cells.
        scales: By its name, what differs at a scale, and the columns that were measured there.
    """

    table: Table
    columns: list[list[_Line]]
    panels: _Panels
    matrix: _Matrix | None
    not_run: list[tuple[str, list[str]]]
    scales: Mapping[str, tuple[Departures, list[_AtScale]]]


def write_report(results: Path, docs: Path) -> list[str]:
    """Writes `results.md` and the pictures in `results/` into a folder; returns a line for each file it cannot read.

    The same files in the results folder give the same bytes.
    """
    found, problems = read_results(results)
    try:
        reasons = read_stock(results)
    except DataError as error:
        reasons, problems = {}, [*problems, str(error)]
    at_scales = {name: [one for one in found if _is_at(one, scale)] for name, scale in SCALES.items()}
    lines = _lines([one for one in found if not any(one in of_scale for of_scale in at_scales.values())], reasons)
    sections = [
        _section(table, [one for one in lines if one.cell.table is table], _scales(table, at_scales))
        for table in load_tables().values()
    ]
    for section in sections:
        if section.panels:
            _draw(docs / PICTURES / f"{section.table.name}.png", section.table, section.panels)
    page = _template().render(sections=sections, problems=problems, results=results.name, pictures=PICTURES)
    write_text(docs / PAGE, page)
    return problems


def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("payattention", "reproduce"),
        autoescape=False,  # Markdown, and all of it from this repository
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(f"{PAGE}.j2")


def _lines(found: list[Result], reasons: Mapping[str, str]) -> list[_Line]:
    cells = all_cells()
    peers: dict[str, list[tuple[str, float]]] = {}
    for cell in cells.values():
        if cell.published and (replicated := cell.replicated) in cells:
            peers.setdefault(str(replicated), []).append((_peer(cell), cell.published.value))
    lines = []
    for cell in cells.values():
        runs = _filled_by(cell, cells)
        own = tuple(ours(runs, found)) if runs else ()
        reason = reasons.get(runs.id, "not yet") if runs else ""
        lines.append(_Line(cell, tuple(peers.get(cell.id, ())), own, reason))
    return lines


def _filled_by(cell: Cell, cells: Mapping[str, Cell]) -> Cell | None:
    """The cell whose command fills a cell: its own, or that of the cell that it replicates; None for a quotation."""
    if cell.runnable:
        return cell
    replicated = cells.get(cell.replicated or "")
    return replicated if replicated and replicated.runnable else None


def _peer(cell: Cell) -> str:
    return f"{cell.table.label}, {cell.row.title}" if cell.row.beside else cell.table.label


def _is_at(result: Result, scale: Departures) -> bool:
    """Whether a result's training was by a scale's recipe, and so stands in the scale's own table."""
    trained = result.settings.get("of") or result.settings
    return bool(trained.get("recipe") == scale.recipe)


def _scales(table: Table, found: Mapping[str, list[Result]]) -> dict[str, tuple[Departures, list[_AtScale]]]:
    """What was measured of a table at each scale; a table with claims is there even where nothing was."""
    scales = {}
    for name, scale in SCALES.items():
        lines = [
            _Line(cell, (), tuple(ours(cell, found[name], scale)), "not yet") for cell in table.cells() if cell.runnable
        ]
        by_column = [list(own) for _, own in groupby(lines, lambda line: line.cell.column.name)]
        columns = [_at_scale(table, own) for own in by_column if any(line.ours for line in own)]
        if columns or table.claims:
            scales[name] = (scale, columns)
    return scales


def _at_scale(table: Table, lines: list[_Line]) -> _AtScale:
    measured = [line for line in lines if line.ours]
    pairs = [(line.ours[0].mean, line.cell.published.value) for line in measured if line.cell.published]
    pictures = CATALOGUE[lines[0].cell.column.data].counts["test"]
    errors = {
        line.cell.row.name: Measured(one.mean, pictures, one.deviation, len(one.values))
        for line in measured
        for one in line.ours[:1]
    }
    verdicts = [found for claim in table.claims if (found := verdict(claim, errors))]
    return _AtScale(lines, order(*zip(*pairs, strict=True)) if pairs else None, verdicts)


def _section(table: Table, lines: list[_Line], scales: Mapping[str, tuple[Departures, list[_AtScale]]]) -> _Section:
    """A table: columns with numbers of peers' or ours in full, the published numbers of the others in one matrix."""
    by_column = [list(own) for _, own in groupby(lines, lambda line: line.cell.column.name)]
    full = [own for own in by_column if _in_full(own)]
    others = [line for own in by_column if not _in_full(own) for line in own]
    # a replication's numbers are drawn as peers' beside the cells that they replicate
    drawn = [own for own in full if any(line.cell.runnable and line.ours for line in own)]
    panels = {own[0].cell.column.title: _dots(own) for own in drawn}
    return _Section(table, full, panels, _matrix(others), _not_run(others), scales)


def _in_full(lines: list[_Line]) -> bool:
    """Whether a column is shown with all that the report knows: there are numbers of peers' or ours in it."""
    return any(line.peers or line.ours for line in lines)


def _dots(lines: Iterable[_Line]) -> dict[str, list[Dot]]:
    by_label = {}
    for line in lines:
        published = line.cell.published
        dots = [Dot("published", published.value, published.deviation)] if published else []
        dots += [Dot("peers", value) for _, value in line.peers]
        for one in line.ours:
            kind = "ours, with departures" if one.departures else "ours"
            dots.append(Dot(kind, one.mean, one.deviation))
        if dots:
            by_label[line.cell.row.title] = dots
    return by_label


def _matrix(lines: list[_Line]) -> _Matrix | None:
    cells = [line.cell for line in lines]
    if not any(cell.published for cell in cells):
        return None
    columns = {cell.column.name: cell.column.title for cell in cells}
    rows = {cell.row.name: cell.row for cell in cells}
    return _Matrix(
        list(columns.values()), [(row, [row.published.get(column) for column in columns]) for row in rows.values()]
    )


def _not_run(lines: list[_Line]) -> list[tuple[str, list[str]]]:
    waiting = sorted((line.reason, line.cell.id) for line in lines if line.reason)
    return [(reason, [name for _, name in group]) for reason, group in groupby(waiting, lambda pair: pair[0])]


def _draw(file: Path, table: Table, panels: _Panels) -> None:
    """Draws a panel for each column, in it the dots of each labelled line, the first on top."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    heights = [len(lines) + 1 for lines in panels.values()]
    with mpl.rc_context():
        mpl.rcdefaults()  # whatever the user's own settings are
        figure = Figure(figsize=(8, 1.2 + 0.5 * len(panels) + _LINE * sum(heights)), layout="constrained")
        legend: dict[str, Any] = {}
        rows = figure.subplots(len(panels), squeeze=False, height_ratios=heights)[:, 0]
        for axes, (column, lines) in zip(rows, panels.items(), strict=True):
            for height, dots in enumerate(lines.values()):
                for dot in dots:
                    legend[dot.kind] = _mark(axes, dot, -height)
            axes.set_yticks(range(0, -len(lines), -1), list(lines), fontsize=8)
            axes.set_title(column, fontsize=9, loc="left")
            axes.grid(axis="x", alpha=0.3)
        rows[-1].set_xlabel(table.unit)
        figure.suptitle(table.title, fontsize=10)
        kinds = [kind for kind in _STYLES if kind in legend]
        figure.legend([legend[kind] for kind in kinds], kinds, loc="outside lower center", ncols=4, fontsize=8)
        with replacing(file) as partial:
            text = {"Software": None, DIGEST: _digest(table, panels)}
            figure.savefig(partial, format="png", dpi=110, metadata=text)


def _mark(axes: Any, dot: Dot, height: float) -> Any:
    marker, colour, filled = _STYLES[dot.kind]
    return axes.errorbar(
        dot.value,
        height,
        xerr=dot.deviation,
        fmt=marker,
        color=colour,
        markerfacecolor=colour if filled else "none",
        markersize=5,
        capsize=2,
    )


def _digest(table: Table, panels: _Panels) -> str:
    """Of all that a picture shows, the names of `Dot` and its fields included: another name is another digest."""
    shown = [(column, [(label, *dots) for label, dots in lines.items()]) for column, lines in panels.items()]
    return hashlib.sha256(repr((table.title, table.unit, shown)).encode()).hexdigest()
