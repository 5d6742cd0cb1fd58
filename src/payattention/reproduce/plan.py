"""The queue: which jobs are missing, in which order, what they would cost, and why one cannot be run here.

A job comes the earlier, the more the cells that wait for it tell and the less it costs. Further seeds tell less than
the first one. What a measurement needs comes right before it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

import torch

from payattention.errors import UsageError
from payattention.reproduce.cost import hours
from payattention.reproduce.jobs import Departures, Job, Training, job_of
from payattention.reproduce.tables import Cell, all_cells, check_tables
from payattention.reproduce.workplace import Workplace
from payattention.system.machine import describe


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


def chosen_cells(tables: Sequence[str], patterns: Sequence[str]) -> list[Cell]:
    """The runnable cells of some tables (all if none is named) that match a glob pattern (all if there is none).

    Raises:
        UsageError: An unknown table, or a pattern that no runnable cell matches.
    """
    check_tables(list(tables))
    runnable = {name: cell for name, cell in all_cells().items() if cell.runnable}
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in runnable):
            near = get_close_matches(pattern, runnable, n=2)
            hint = f"did you mean {' or '.join(near)}?" if near else "they are TABLE/ROW/COLUMN, as table1/vgg/cifar10"
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
        return hours(job, self.device)

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
