"""Jobs: what a cell needs to be run, once for each seed, its name on the disk and its command line.

A job is a training or a measurement of what a training left. Several cells can need the same one: its name is made of
its settings alone, so that it is run once. A command line is given without the program's name.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from payattention.models import check_model
from payattention.reproduce.tables import Cell
from payattention.system.machine import chosen_options
from payattention.training.recipe import load_recipe

_NAMED = re.compile(r"[^A-Za-z0-9_.]+")
_BEGUN = ("config.json", "start.safetensors")  # in the folder of a training that was stopped


@dataclass(frozen=True)
class Departures:
    """What is to differ from the tables' settings in every training: None and {} for nothing.

    Attributes:
        width: Factor on the channels.
        epochs: Passes over the data.
        recipe: The recipe's name.
        data: Where a data set is read from, by its name: `{"cifar10": "parquet:copies/cifar10"}`.
    """

    width: float | None = None
    epochs: int | None = None
    recipe: str | None = None
    data: Mapping[str, str] = field(default_factory=dict)

    def check(self, cells: Sequence[Cell]) -> None:
        """Raises UsageError for what no training of some runnable cells could follow."""
        if self.recipe:
            load_recipe(self.recipe)
        if self.width is not None:
            check_model(str(cells[0].row.model), self.width)


@dataclass(frozen=True)
class Training:
    """One training; mappings are tuples of pairs, so that equal trainings are equal keys."""

    model: str
    data: str
    recipe: str
    seed: int
    width: float = 1.0
    epochs: int | None = None
    options: tuple[tuple[str, Any], ...] = ()
    recipe_set: tuple[tuple[str, Any], ...] = ()
    init_from: "Training | None" = None
    read_as: str | None = None

    verb = "train"

    @property
    def needs(self) -> "Training | None":
        """The training whose weights it starts from."""
        return self.init_from

    @property
    def name(self) -> str:
        parts = [self.model, *_pairs(self.options), self.data]
        parts += [f"as.{self.read_as}"] if self.read_as else []
        parts += [self.recipe, *_pairs(self.recipe_set)]
        parts += [f"width{self.width:g}"] if self.width != 1 else []
        parts += [f"epochs{self.epochs}"] if self.epochs else []
        parts += [f"from.{self.init_from.data}"] if self.init_from else []
        return _file_name([*parts, f"seed{self.seed}"])

    def settings(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "verb": self.verb,
            "model": self.model,
            "options": dict(self.options),
            "data": self.data,
            "read_as": self.read_as,
            "recipe": self.recipe,
            "recipe_set": dict(self.recipe_set),
            "width": self.width,
            "epochs": self.epochs or _epochs(self.recipe),
            "init_from": self.init_from and self.init_from.settings(),
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Measurement:
    """One measurement of a trained network."""

    verb: str
    data: str
    of: Training
    split: str | None = None
    arguments: tuple[str, ...] = ()
    read_as: str | None = None
    passes: float = field(default=1.0, compare=False)

    @property
    def needs(self) -> Training:
        """The training that it measures."""
        return self.of

    @property
    def seed(self) -> int:
        return self.of.seed

    @property
    def name(self) -> str:
        parts = [self.verb, *(["as." + self.read_as] if self.read_as else [self.data]), self.split or "", "of"]
        return _file_name([part for part in parts if part] + [self.of.name])

    def settings(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "verb": self.verb,
            "data": self.data,
            "read_as": self.read_as,
            "split": self.split,
            "arguments": list(self.arguments),
            "of": self.of.settings(),
            "seed": self.seed,
        }


Job = Training | Measurement


def job_of(cell: Cell, seed: int, departures: Departures = Departures()) -> Job:
    """The job that fills a runnable cell."""
    column = cell.column
    if column.verb == "train":
        return _training(cell, seed, departures)
    if column.verb is None or column.of is None:
        raise ValueError(f"{cell.id} has no command")
    trained = _training(cell.in_column(column.of), seed, departures)
    read_as = departures.data.get(column.data)
    arguments = (*column.arguments, *cell.row.arguments)
    return Measurement(column.verb, column.data, trained, column.split, arguments, read_as, column.passes)


def _training(cell: Cell, seed: int, departures: Departures) -> Training:
    row, column = cell.row, cell.column
    if row.model is None:
        raise ValueError(f"{cell.id} has no network")
    start = cell.in_column(column.init_from) if column.init_from else None
    own = departures.recipe is None
    return Training(
        model=row.model,
        data=column.data,
        recipe=departures.recipe or row.recipe or column.recipe,
        seed=seed,
        width=departures.width or column.width,
        epochs=departures.epochs or (column.epochs if own else None),
        options=tuple(sorted({**column.options, **row.options}.items())),
        recipe_set=tuple(sorted(column.recipe_set.items())) if own else (),
        init_from=_training(start, seed, departures) if start else None,
        read_as=departures.data.get(column.data),
    )


def command(job: Job, runs: Path) -> list[str]:
    """What runs a job from its start, its run folder below `runs`, on what was chosen; it prints one JSON object."""
    own = _train(job, runs) if isinstance(job, Training) else _measure(job, runs)
    return [*own, *chosen_options("device", "precision", "threads"), "--json"]


def resumption(job: Job, runs: Path) -> list[str] | None:
    """What goes on with a training that was stopped; None for what must start, or start again."""
    folder = runs / job.name
    begun = isinstance(job, Training) and all((folder / file).is_file() for file in _BEGUN)
    words = ["train", "--resume", str(folder), *chosen_options("device", "threads"), "--json"]
    return words if begun else None


def _train(job: Training, runs: Path) -> list[str]:
    words = ["train", "--model", job.model, "--data", job.read_as or job.data, "--recipe", job.recipe]
    words += ["--width", f"{job.width:g}"] if job.width != 1 else []
    words += ["--epochs", str(job.epochs)] if job.epochs else []
    for name, value in job.options:
        words += ["--set", f"{name}={_text(value)}"]
    for name, value in job.recipe_set:
        words += ["--recipe-set", f"{name}={_text(value)}"]
    words += ["--init-from", str(runs / job.init_from.name)] if job.init_from else []
    return [*words, "--seed", str(job.seed), "--out", str(runs / job.name)]


def _measure(job: Measurement, runs: Path) -> list[str]:
    words = [job.verb, str(runs / job.of.name), "--data", job.read_as or job.data]
    words += ["--split", job.split] if job.split else []
    return [*words, *(word.replace("{out}", str(runs / job.name)) for word in job.arguments)]


@cache
def _epochs(recipe: str) -> int:
    return load_recipe(recipe).epochs


def _pairs(settings: tuple[tuple[str, Any], ...]) -> list[str]:
    return [f"{name}.{_text(value)}" for name, value in settings]


def _file_name(parts: list[str]) -> str:
    return "-".join(_NAMED.sub("_", part) for part in parts)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
