"""Ours beside a cell's published number: which results fit it, what departs from its settings, mean and deviation."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from payattention.data import CATALOGUE
from payattention.reproduce.jobs import Departures, Job, Training, job_of
from payattention.reproduce.results import Result, number
from payattention.reproduce.tables import Cell
from payattention.training.presets import list_recipes
from payattention.training.recipe import Recipe, load_recipe

_COUNTED = re.compile(r"[\d,]+ of [\d,]+ images")


@dataclass(frozen=True)
class Ours:
    """What was measured for a cell under the same departures, seed by seed.

    Attributes:
        values: By seed.
        departures: All that differs from the cell's settings; empty where nothing does.
        files: Of the results, in the seeds' order.
    """

    values: Mapping[int, float]
    departures: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def mean(self) -> float:
        return mean(self.values.values())

    @property
    def deviation(self) -> float | None:
        """Over the seeds (n - 1); None for a single one."""
        return stdev(self.values.values()) if len(self.values) > 1 else None


def ours(cell: Cell, results: Iterable[Result], settings: Departures = Departures()) -> list[Ours]:  # noqa: B008 (it is frozen)
    """What fits a runnable cell, fewest departures first.

    Args:
        cell: The cell.
        results: Among these.
        settings: What is no departure, though it differs from the table's settings.
    """
    results = list(results)
    by_name = {str(r.settings.get("name")): r for r in results}
    groups: dict[tuple[str, ...], dict[int, tuple[float, str]]] = {}
    for result in results:
        value = number(result.content, cell.column.value)
        job = job_of(cell, int(result.settings.get("seed", 0)), settings)
        if value is None or _identity(result.settings) != _identity(job.settings()):
            continue
        seeds = groups.setdefault(_departures(job, result, by_name), {})
        seeds.setdefault(job.seed, (value, result.file))  # a cell's own result comes before an adopted one
    return [
        Ours(
            values={seed: seeds[seed][0] for seed in sorted(seeds)},
            departures=departures,
            files=tuple(seeds[seed][1] for seed in sorted(seeds)),
        )
        for departures, seeds in sorted(groups.items(), key=lambda group: (len(group[0]), group[0]))
    ]


def _identity(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a result must share with a cell to be shown beside it; all else is a departure."""
    of = settings.get("of")
    names = ("verb", "model", "options", "data", "split", "arguments")
    return (*(settings.get(name) or None for name in names), _identity(of) if of else None)


def _departures(job: Job, result: Result, by_name: Mapping[str, Result]) -> tuple[str, ...]:
    if isinstance(job, Training):
        then = _as_it_was_then(result)
        return (*_training_departures(job, result.settings, then), *_data_departures(job, result))
    asked = result.settings["of"]
    trained = by_name.get(str(asked.get("name")))
    own = str(result.content.get("source") or "")
    before = _departures(job.of, trained, by_name) if trained else _training_departures(job.of, asked)
    return (*before, *([f"{job.data}: {own}"] if own else []))


def _training_departures(job: Training, settings: Mapping[str, Any], then: bool = False) -> tuple[str, ...]:
    found = []
    if settings["width"] != job.width:
        found.append(f"width {settings['width']:g}")
    same = settings["recipe"] == job.recipe and (settings.get("recipe_set") or {}) == dict(job.recipe_set)
    if then or not same:
        changed = ", ".join(f"{name}={value}" for name, value in (settings.get("recipe_set") or {}).items())
        name = f"recipe {settings['recipe'] or 'of its own'}" + (" as it was then" if then else "")
        found.append(name + (f" with {changed}" if changed else ""))
    if settings["epochs"] != job.settings()["epochs"]:
        found.append(f"epochs {settings['epochs']}")
    if (settings.get("init_from") is None) != (job.init_from is None):
        found.append("from fresh weights" if job.init_from else "from another network's weights")
    return tuple(found)


def _as_it_was_then(result: Result) -> bool:
    """Whether the recipe of a result's name has changed since."""
    recorded, name = result.content.get("recipe"), result.settings["recipe"]
    if not recorded or name not in list_recipes():
        return False
    now, plain = _plain(load_recipe(name)), _plain(Recipe(summary="", epochs=1))
    replaced = {"summary", "epochs", *(result.settings.get("recipe_set") or {})}
    return any(recorded.get(field, plain[field]) != now[field] for field in now.keys() - replaced)


def _plain(recipe: Recipe) -> dict[str, Any]:
    """As it reads in a result's JSON."""
    fields: dict[str, Any] = json.loads(json.dumps(recipe.to_dict()))
    return fields


def _data_departures(job: Training, result: Result) -> tuple[str, ...]:
    data = result.content.get("data") or {}
    read_as = result.settings.get("read_as")
    source = str(data.get("source") or "")
    found = [*filter(None, (read_as and f"read as {read_as}", source))]
    counts = CATALOGUE[job.data].counts
    for split in ("train", "test"):
        if split in data and data[split] != counts[split] and not _COUNTED.search(source):
            found.append(f"{data[split]:,} of {counts[split]:,} images to {split}")
    return tuple(found)
