"""The tables of docs/backbone-training.md, from results/advice.json."""

import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

from markdown_table import markdown_table
from measured_by import measured_by

RESULT = Path(__file__).parents[2] / "results" / "advice.json"
_NONE = "-"


def advice() -> str:
    """Errors, and how well the maps find the pets: a row for each way to set the attention up, a column for a task."""
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    cells: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for key, cell in result["cells"].items():
        task, way, _ = key.split("; ")
        cells.setdefault((task, way), []).append(cell)
    tasks, ways = (list(dict.fromkeys(key[k] for key in cells)) for k in (0, 1))
    tasks.sort(key=lambda task: ("Caltech" not in task, int(task.split()[0])))
    tables = {
        "Error on the test pictures, %": lambda cell: cell["error"],
        "Pixel AP of the combined map on the pets, %": lambda cell: cell["maps"]["combined"]["average_precision"],
        "Pixel AP of the last level alone, %": lambda cell: _last(cell)["average_precision"],
        "Jaccard index of Otsu's mask of the combined map, %": lambda cell: cell["maps"]["combined"]["jaccard"],
    }
    parts = [_table(title, of, cells, tasks, ways) for title, of in tables.items()]
    return "\n\n".join([_head(result), *parts, _commands(cells, ways)])


def _table(
    title: str,
    of: Callable[[dict[str, Any]], float],
    cells: dict[tuple[str, str], list[dict[str, Any]]],
    tasks: list[str],
    ways: list[str],
) -> str:
    rows = [[way, *(_number([of(cell) for cell in cells.get((task, way), ())]) for task in tasks)] for way in ways]
    return markdown_table([title, *tasks], rows)


def _number(values: list[float]) -> str:
    """Their mean; from the least to the greatest where there are several seeds."""
    if not values:
        return _NONE
    spread = f" ({min(values):.1f} to {max(values):.1f})" if len(values) > 1 else ""
    return f"{fmean(values):.1f}{spread}"


def _last(cell: dict[str, Any]) -> dict[str, float]:
    """The deepest level's map."""
    last: dict[str, float] = [scores for name, scores in cell["maps"].items() if name != "combined"][-1]
    return last


def _head(result: dict[str, Any]) -> str:
    trivial = result["trivial"]["squash"]
    baselines = "; ".join(
        f"{name}: pixel AP {scores['average_precision']:.1f}, Jaccard {scores['jaccard']:.1f}"
        for name, scores in trivial.items()
        if name != "pictures"
    )
    made = sorted({f"{c['provenance']['device']}, {c['provenance']['date']}" for c in result["cells"].values()})
    return (
        f"Recipe `{result['recipe']}`; {trivial['pictures']:,} pictures of the pets with masks. Maps that look at "
        f"nothing: {baselines}. {'; '.join(made)} (`results/advice.json`)."
    )


def _commands(cells: dict[tuple[str, str], list[dict[str, Any]]], ways: list[str]) -> str:
    """How each row is trained, on the largest task that it was trained on."""
    lines = []
    for way in ways:
        own = [found[0] for (_, name), found in cells.items() if name == way]
        lines.append(min(own, key=lambda cell: len(cell["command"]))["command"])
    return measured_by(lines)
