"""The tables of docs/backbone-training.md, from results/frozen_maps.json."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from markdown_table import markdown_table
from measured_by import measured_by

RESULT = Path(__file__).parents[2] / "results" / "frozen_maps.json"
_NONE = "-"
_PETS, _BIRDS, _DIGITS = "oxford_pets", "cub200_whole", "cluttered_digits"
_OBJECTS = {_PETS: "pets", _BIRDS: "birds", _DIGITS: "digits"}
_METRICS = {"average_precision": "Pixel AP", "pointing": "Pointing"}
_TRAINED, _GAUSSIAN = "combined", "centred Gaussian"

Cells = dict[tuple[str, str], list[dict[str, Any]]]
"""By task and way, those of all seeds."""


def frozen_maps() -> str:
    """Errors, and how well the maps find objects: a row for each way to set the attention up, a column for a task."""
    result = _result()
    cells: Cells = {}
    for key, cell in result["cells"].items():
        task, way, _ = key.split("; ")
        cells.setdefault((task, way), []).append(cell)
    tables = {
        "Error on the test pictures, %": lambda cell: cell["error"],
        "Pixel AP on the pets, %": _score(_PETS, "average_precision"),
        "Jaccard index on the pets, %": _score(_PETS, "jaccard"),
        "Pixel AP on the birds, %": _score(_BIRDS, "average_precision"),
        "Pixel AP on the digits, %": _score(_DIGITS, "average_precision"),
    }
    shown = [table for title, of in tables.items() if (table := _table(title, of, cells))]
    return "\n\n".join([_head(result), *shown, _commands(cells)])


def frozen_contest() -> str:
    """The default's combined map beside others, by set, and on how many of the sets it lies above all of them."""
    contests = {_title(key): found for key, found in _result()["contests"].items()}
    tables = [_contest_table(title, metric, contests) for metric, title in _METRICS.items()]
    counted = [_above(metric, title, contests) for metric, title in _METRICS.items()]
    return "\n\n".join([*tables, "\n".join(counted)])


def _title(key: str) -> str:
    task, looked = key.split("; ")
    return f"{_OBJECTS[looked]}, by {task}"


def _result() -> dict[str, Any]:
    result: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8"))
    return result


def _score(looked: str, metric: str) -> Callable[[dict[str, Any]], float | None]:
    """Of the combined map; None where the network did not look at that set."""

    def of(cell: dict[str, Any]) -> float | None:
        mean: float | None = cell["maps"][looked][_TRAINED][metric]["mean"] if looked in cell["maps"] else None
        return mean

    return of


def _table(title: str, of: Callable[[dict[str, Any]], float | None], cells: Cells) -> str:
    """Empty where nothing was measured."""
    values = {key: [value for cell in found if (value := of(cell)) is not None] for key, found in cells.items()}
    tasks = [task for task in _names(cells, 0) if any(values[key] for key in values if key[0] == task)]
    rows = [[way, *(_number(values.get((task, way), [])) for task in tasks)] for way in _names(cells, 1)]
    return markdown_table([title, *tasks], rows) if tasks else ""


def _names(cells: Cells, part: int) -> list[str]:
    return list(dict.fromkeys(key[part] for key in cells))


def _number(values: list[float]) -> str:
    """Their mean; from the least to the greatest where there are several seeds."""
    if not values:
        return _NONE
    spread = f" ({min(values):.1f} to {max(values):.1f})" if len(values) > 1 else ""
    return f"{fmean(values):.1f}{spread}"


def _head(result: dict[str, Any]) -> str:
    made = sorted({f"{c['provenance']['device']}, {c['provenance']['date']}" for c in result["cells"].values()})
    return f"Recipe `{result['recipe']}`. {'; '.join(made)} (`results/frozen_maps.json`)."


def _commands(cells: Cells) -> str:
    """How each row is trained, on the task whose command is the shortest."""
    lines = []
    for way in _names(cells, 1):
        own = [found[0]["command"] for (_, name), found in cells.items() if name == way]
        lines.append(min(own, key=len))
    return measured_by(lines)


def _contest_table(title: str, metric: str, contests: Mapping[str, dict[str, Any]]) -> str:
    """Of each post-hoc method the best of its maps: of either layer, or of both together."""
    columns = {name: _best(found["rows"], metric) for name, found in contests.items()}
    rows = list(dict.fromkeys(row for column in columns.values() for row in column))
    cells = [[row, *(column.get(row, _NONE) for column in columns.values())] for row in rows]
    return markdown_table([f"{title}, %", *columns], cells)


def _best(rows: Mapping[str, dict[str, Any]], metric: str) -> dict[str, str]:
    best: dict[str, dict[str, Any]] = {}
    for name, row in rows.items():
        if row["kind"] == "trained":
            title = "**trained, combined**" if name == _TRAINED else None
        elif row["kind"] == "post-hoc":
            title = name.rpartition(" ")[0]
        else:
            title = name if name == _GAUSSIAN else None
        if title and (title not in best or row[metric]["mean"] > best[title]["mean"]):
            best[title] = row[metric]
    return {title: _with_interval(score) for title, score in best.items()}


def _with_interval(score: Mapping[str, Any]) -> str:
    low, high = score["interval"]
    return f"{score['mean']:.1f} ±{(high - low) / 2:.1f}"


def _above(metric: str, title: str, contests: Mapping[str, dict[str, Any]]) -> str:
    """On which sets each paired difference with its whole interval is above 0; else what comes nearest, or passes."""
    clear, held = [], []
    for name, found in contests.items():
        margins = found["margins"][metric]
        rival, least = min(margins.items(), key=lambda item: item[1]["low"])
        if least["low"] > 0:
            clear.append(name)
        else:
            held.append(f"{name}: {rival} ({least['points']:+.1f} points, {least['low']:+.1f} to {least['high']:+.1f})")
    line = f"- {title}: above every other map by more than the interval on {len(clear)} of {len(contests)} sets"
    return f"{line}; not on {'; '.join(held)}." if held else f"{line}."
