"""The queue: which jobs are missing, in which order, what they would cost, and why one cannot be run here.

A job comes the earlier, the more the cells that wait for it tell and the less it costs. Further seeds tell less than
the first one. What a measurement needs comes right before it.

A job's expected cost is its floating-point operations, counted on the network, by a rate of the machine's: an estimate
that orders the queue and warns of a week, no measurement (`payattention benchmark` measures).
"""

import shlex
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from payattention.data import CATALOGUE
from payattention.errors import UsageError
from payattention.models import create_model
from payattention.models.without_values import without_values
from payattention.reproduce.jobs import Departures, Job, Measurement, Training, command, job_of, resumption
from payattention.reproduce.results import write_stock
from payattention.reproduce.tables import Cell, all_cells, check_tables
from payattention.reproduce.workplace import Workplace
from payattention.system.machine import describe
from payattention.system.names import meant
from payattention.training.recipe import load_recipe

CPU_RATE = 5e10
"""Operations a second and thread, float32: results/cifar10.json's last epoch made 1.1e11 on two."""
GPU_RATE = 1e14
"""Operations a second on a data-centre GPU in bf16: assumed, about a tenth of its peak."""
_STEP = 3  # forward passes that a training step costs: forward, and twice that backward
_START = 15.0  # seconds until a command is at work


@dataclass(frozen=True)
class Planned:
    """A job of the queue.

    Attributes:
        job: The job.
        cells: The cells that it fills; none if others only need its weights.
        hours: What it is expected to cost here, alone.
        obstacle: Why it cannot be run here; None if it can.
    """

    job: Job
    cells: tuple[str, ...]
    hours: float
    obstacle: str | None

    def facts(self, place: Workplace) -> dict[str, Any]:
        """As JSON, with the command that runs the job, or goes on with it, in a workplace."""
        words = resumption(self.job, place.runs) or command(self.job, place.runs)
        return {
            "job": self.job.name,
            "cells": list(self.cells),
            "hours": round(self.hours, 4),
            "obstacle": self.obstacle,
            "command": shlex.join(["payattention", *words]),
        }


def chosen_cells(tables: Sequence[str], patterns: Sequence[str]) -> list[Cell]:
    """The runnable cells of some tables (all if none is named) that match a glob pattern (all if there is none).

    Raises:
        UsageError: An unknown table, or a pattern that no runnable cell matches.
    """
    check_tables(list(tables))
    runnable = {name: cell for name, cell in all_cells().items() if cell.runnable}
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in runnable):
            hint = meant(pattern, runnable, "they are TABLE/ROW/COLUMN, as table1/vgg/cifar10")
            raise UsageError(f"no cell that can be run matches {pattern!r}; {hint}")
    cells = [
        cell
        for name, cell in runnable.items()
        if (not tables or cell.table.name in tables) and (not patterns or any(fnmatchcase(name, p) for p in patterns))
    ]
    if not cells:
        named = f" that matches {' or '.join(map(repr, patterns))}" if patterns else ": its numbers are others'"
        raise UsageError(f"{', '.join(tables)} has no cell to run{named}")
    return cells


def plan(
    cells: Iterable[Cell],
    seeds: Sequence[int],
    place: Workplace,
    device: torch.device,
    *,
    departures: Departures = Departures(),  # noqa: B008 (it is frozen)
    max_hours: float = float("inf"),
    retry: bool = False,
) -> list[Planned]:
    """The jobs that are missing for some cells, in the order in which they are to be run."""
    fills: dict[Job, list[str]] = defaultdict(list)
    worth: dict[Job, float] = defaultdict(float)
    for cell in cells:
        for rank, seed in enumerate(seeds):
            job = job_of(cell, seed, departures)
            if place.has_result(job) and not place.broken(job):
                continue
            fills[job].append(cell.id)
            worth[job] += cell.worth / (1 + rank)
            for needed in _needed(job, place):
                worth[needed] += cell.worth / (1 + rank)
    judge = _Judge(place, device, max_hours, retry)
    return [
        Planned(job, tuple(fills.get(job, ())), judge.hours(job), judge.obstacle(job))
        for job in _ordered(worth, judge, place)
    ]


def take_stock(place: Workplace, device: torch.device, max_hours: float) -> None:
    """Notes for the report why each cell that has no result has none, with the tables' own settings."""
    machine = describe(device)
    reasons: dict[str, str] = {}
    for planned in plan(chosen_cells([], []), (0,), place, device, max_hours=max_hours):
        cost = duration(planned.hours) if planned.hours > 1 else "minutes"
        reasons |= dict.fromkeys(planned.cells, planned.obstacle or f"not yet; {cost} on {machine}")
    write_stock(place.results, machine, reasons)


def _needed(job: Job, place: Workplace) -> Iterable[Training]:
    """The trainings whose weights a job waits for, nearest first."""
    need = job.needs
    while need and not place.has_weights(need):
        yield need
        need = need.needs


def _ordered(worth: dict[Job, float], judge: "_Judge", place: Workplace) -> list[Job]:
    ordered: dict[Job, None] = {}
    for job in sorted(worth, key=lambda job: (-worth[job] / judge.hours(job), job.name)):
        for earlier in (*reversed([*_needed(job, place)]), job):
            ordered.setdefault(earlier)
    return list(ordered)


class _Judge:
    """Says what a job costs on a machine and what stands in its way there."""

    def __init__(self, place: Workplace, device: torch.device, max_hours: float, retry: bool) -> None:
        self.place, self.device, self.max_hours, self.retry = place, device, max_hours, retry

    def hours(self, job: Job) -> float:
        return expected_hours(job, self.device)

    def obstacle(self, job: Job) -> str | None:
        place, cost = self.place, self.hours(job)
        if broken := place.broken(job):
            return broken
        if missing := place.missing_data(job):
            return f"no data here: {missing}"
        if (note := place.failure(job)).is_file() and not self.retry:
            return f"failed: {note.read_text(encoding='utf-8').strip()}"
        if cost > self.max_hours:
            gpu = "" if self.device.type == "cuda" else ": it needs a GPU"
            return f"about {float(f'{cost:.2g}'):,g} hours on {describe(self.device)}{gpu}"
        for needed in _needed(job, place):
            if obstacle := self.obstacle(needed):
                return obstacle
        return None


@cache
def expected_hours(job: Job, device: torch.device) -> float:
    """Expected wall time of a job alone on this machine."""
    rate = GPU_RATE if device.type == "cuda" else CPU_RATE * torch.get_num_threads()
    return (operations(job) / rate + _START) / 3600


def operations(job: Job) -> float:
    """Floating-point operations: two for each multiply-add of the network's layers, over all images and epochs."""
    return _trained(job) if isinstance(job, Training) else _measured(job)


def duration(hours: float) -> str:
    """Hours in words: "40 s", "9 min", "2.5 h", "870 h"."""
    if hours < 1 / 40:
        return f"{3600 * hours:.0f} s"
    if hours < 1.5:
        return f"{60 * hours:.0f} min"
    return f"{hours:,.1f} h" if hours < 10 else f"{hours:,.0f} h"


def _trained(job: Training) -> float:
    recipe = load_recipe(job.recipe, dict(job.recipe_set))
    images = CATALOGUE[job.data].counts["train"] * (job.epochs or recipe.epochs)
    share = sum(size**2 for size in recipe.sizes) / len(recipe.sizes)  # epochs on smaller pictures
    return _STEP * images * share * _forward(job.model, job.width, job.options, job.data)


def _measured(job: Measurement) -> float:
    counts = CATALOGUE[job.data].counts
    images = counts.get(job.split or "test", sum(counts.values()))
    return job.passes * images * _forward(job.of.model, job.of.width, job.of.options, job.of.data)


@cache
def _forward(model: str, width: float, options: tuple[tuple[str, object], ...], data: str) -> int:
    """Of one image of a data set's size, counted on a network without weights."""
    facts = CATALOGUE[data]
    with without_values(), torch.no_grad(), FlopCounterMode(display=False) as counter:
        create_model(model, facts.classes, width, **dict(options)).eval()(torch.empty(1, 3, facts.size, facts.size))
    return int(counter.get_total_flops())
