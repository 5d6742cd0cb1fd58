"""The report: published, peers' and our numbers side by side, as a page and pictures, from committed files alone."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from payattention.errors import DataError
from payattention.reproduce.picture import Dot, draw
from payattention.reproduce.results import Result, read_results, read_stock
from payattention.reproduce.standing import Ours, ours
from payattention.reproduce.tables import Cell, Published, Table, all_cells, load_tables
from payattention.system.files import replacing

PAGE, PICTURES = "results.md", "results"

_HEAD = """\
# Results

Every number of ours on this page was measured by a command of this repository and is read from `results/`; the page
and its pictures are made by `payattention reproduce --report`, and nothing is typed in. [How to run a cell
yourself](reproducing.md).

Ours is the mean over seeds, with the deviation (n - 1) where there are several; each links its results, which hold the
command, the seed, the versions, the device, the wall time and the curve. Whatever departs from the cell's settings
stands beside it: the width, the epochs, the recipe, the copy of the data. A number with departures is no replication
of the published one; it tells how far the departure leads. Rows in *italics* are controls that the paper lacks.

## What was selected on what

Ours: a training's last epoch is what is measured, once, on the test split; nothing is chosen there. What has to be
chosen is chosen on a part of the training split that is kept apart (`payattention train --hold-out 0.1`).

Published: the paper does not say what its numbers were selected on. Its authors' scripts measure on the test split
after every epoch and select nothing by it; they use one fixed seed, while the paper prints deviations. The Keras
replication stops early by the error on the test split, and whitens that split by its own statistics. The public
PyTorch implementation prints the test accuracy after every epoch and does not say which epoch its numbers are of.
"""


@dataclass(frozen=True)
class _Standing:
    """A cell with all that the report knows of it."""

    cell: Cell
    peers: tuple[tuple[str, float], ...]
    ours: tuple[Ours, ...]
    reason: str


def write_report(results: Path, docs: Path) -> list[str]:
    """Writes `results.md` and the pictures in `results/` into a folder; returns a line for each file it cannot read.

    The same files in the results folder give the same bytes.
    """
    found, problems = read_results(results)
    try:
        reasons = read_stock(results)
    except DataError as error:
        reasons, problems = {}, [*problems, str(error)]
    standings = _standings(found, reasons)
    blocks = [_HEAD]
    for table in load_tables().values():
        own = [standing for standing in standings if standing.cell.table is table]
        blocks.append("\n".join(_section(table, own, results, docs)))
    if problems:
        blocks.append("\n".join(["## Files that could not be read", "", *(f"- {line}" for line in problems), ""]))
    with replacing(docs / PAGE) as partial:
        partial.write_text("\n".join(blocks), encoding="utf-8")
    return problems


def _standings(found: list[Result], reasons: Mapping[str, str]) -> list[_Standing]:
    cells = all_cells()
    peers: dict[str, list[tuple[str, float]]] = {}
    for cell in cells.values():
        if cell.published and (replicated := cell.replicated) in cells:
            peers.setdefault(str(replicated), []).append((_peer(cell), cell.published.value))
    standings = []
    for cell in cells.values():
        runs = _filled_by(cell, cells)
        standings.append(
            _Standing(
                cell,
                tuple(peers.get(cell.id, ())),
                tuple(ours(runs, found)) if runs else (),
                reasons.get(runs.id, "not yet") if runs else "",
            )
        )
    return standings


def _filled_by(cell: Cell, cells: Mapping[str, Cell]) -> Cell | None:
    """The cell whose command fills a cell: its own, or that of the cell that it replicates; None for a quotation."""
    if cell.runnable:
        return cell
    replicated = cells.get(cell.replicated or "")
    return replicated if replicated and replicated.runnable else None


def _peer(cell: Cell) -> str:
    return f"{cell.table.label}, {cell.row.title}" if cell.row.beside else cell.table.label


def _section(table: Table, standings: list[_Standing], results: Path, docs: Path) -> Iterator[str]:
    """A table: columns with numbers of peers' or ours in full, the published numbers of the others in one matrix."""
    yield f"## {table.title}"
    yield ""
    yield f"Source: {table.source}. Unit: {table.unit}; {table.better} is better."
    yield ""
    for note in table.notes:
        yield f"- {note}"
    yield from [""] if table.notes else []
    by_column = {name: list(own) for name, own in groupby(standings, lambda standing: standing.cell.column.name)}
    full = {name: own for name, own in by_column.items() if any(standing.peers or standing.ours for standing in own)}
    # a replication's numbers are drawn as peers' beside the cells that they replicate
    panels = {
        own[0].cell.column.title: _dots(own) for own in full.values() if any(s.cell.runnable and s.ours for s in own)
    }
    if panels:
        picture = docs / PICTURES / f"{table.name}.png"
        draw(picture, table.title, table.unit, panels)
        yield f"![{table.title}: published and measured numbers]({PICTURES}/{picture.name})"
        yield ""
    for own in full.values():
        yield from _column(own, results.name)
    open_ = [standing for name, own in by_column.items() if name not in full for standing in own]
    if open_:
        yield from _matrix(open_)
        yield from _reasons(open_)


def _column(standings: list[_Standing], results: str) -> Iterator[str]:
    first = standings[0].cell
    different = "" if first.better == first.table.better else f" ({first.better} is better)"
    yield f"### {first.column.title}{different}"
    yield ""
    yield "| | published | peers | ours | departures | results |"
    yield "|---|--:|--:|--:|---|---|"
    for standing in standings:
        before = f"| {_title(standing.cell)} | {_published(standing.cell.published)} | {_peers(standing)} |"
        for one in standing.ours:
            files = ", ".join(f"[{seed}](../{results}/{f})" for seed, f in zip(one.values, one.files, strict=True))
            number, how = _number(one.mean, one.deviation), "; ".join(one.departures) or "none"
            yield f"{before} {number} | {how} | seed {files} |"
            before = "| | | |"
        if not standing.ours:
            yield f"{before} - | {f'not run: {standing.reason}' if standing.reason else 'nothing to run'} | |"
    yield ""


def _matrix(standings: list[_Standing]) -> Iterator[str]:
    """Published numbers alone, a network a line."""
    columns = {s.cell.column.name: s.cell.column.title for s in standings}
    rows = {s.cell.row.name: _title(s.cell) for s in standings}
    by_place = {(s.cell.row.name, s.cell.column.name): s for s in standings}
    if not any(s.cell.published for s in standings):
        return
    yield "| published | " + " | ".join(columns.values()) + " |"
    yield "|---|" + "--:|" * len(columns)
    for row, title in rows.items():
        cells = (by_place.get((row, column)) for column in columns)
        yield f"| {title} | " + " | ".join(_published(s.cell.published) if s else "" for s in cells) + " |"
    yield ""


def _reasons(standings: list[_Standing]) -> Iterator[str]:
    """Why cells were not run, a reason a line."""
    waiting = sorted((s.reason, s.cell.id) for s in standings if s.reason)
    for reason, group in groupby(waiting, lambda pair: pair[0]):
        names = [f"`{name}`" for _, name in group]
        more = f" and {len(names) - 3} more" if len(names) > 4 else ""
        yield f"- Not run: {', '.join(names[:3] if more else names)}{more}: {reason}."
    yield from [""] if waiting else []


def _dots(standings: Iterable[_Standing]) -> dict[str, list[Dot]]:
    lines = {}
    for standing in standings:
        cell, published = standing.cell, standing.cell.published
        dots = [Dot("published", published.value, published.deviation)] if published else []
        dots += [Dot("peers", value) for _, value in standing.peers]
        for one in standing.ours:
            kind = "ours, with departures" if one.departures else "ours"
            dots.append(Dot(kind, one.mean, one.deviation))
        if dots:
            lines[cell.row.title] = dots
    return lines


def _title(cell: Cell) -> str:
    return f"*{cell.row.title}*" if cell.row.control else cell.row.title


def _published(published: Published | None) -> str:
    if published is None:
        return ""
    return _number(published.value, published.deviation) + published.mark.replace("*", r"\*")


def _peers(standing: _Standing) -> str:
    return "; ".join(f"{value:.2f} ({name})" for name, value in standing.peers)


def _number(value: float, deviation: float | None) -> str:
    return f"{value:.2f}" if deviation is None else f"{value:.2f} ({deviation:.2f})"
