"""Cells on the machines of a cluster: Ray says where and when, the runner does there what it does here.

A slot is so many cores (`--threads`), or a GPU; it works at one cell at a time. Each cell goes to a slot of the kind
that its cost asks for. That a cell is run once, goes on where it was stopped and counts its slices is a matter of
files alone, as without Ray: results, run folders and data lie where every machine sees them, under the same path, on a
file system that passes locks on.
"""

import platform
import time
from collections.abc import Callable, Sequence
from contextlib import chdir
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from payattention.errors import PayAttentionError, UsageError
from payattention.reproduce.queue import Planned, expected_hours
from payattention.reproduce.runner import GRACE, Tally, run, terminated_as_interrupted
from payattention.reproduce.workplace import Workplace
from payattention.system.cores import usable_cores
from payattention.system.machine import Choice, choice, choosing
from payattention.system.ray_cluster import ray_cluster
from payattention.system.text import first_line

ON_A_CPU = 1.0
"""Hours of a core's that a cell may cost and still leave the GPUs to others."""
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Slot:
    """What a cell gets: a GPU, or so many cores."""

    gpu: bool
    threads: int

    def asks_for(self) -> dict[str, Any]:
        """As options of a task of Ray's; one that dies with its machine is taken up by the next call."""
        return {"num_cpus": 0 if self.gpu else self.threads, "num_gpus": int(self.gpu), "max_retries": 0}

    def choice(self, asked: Choice) -> Choice:
        """What the cell's command is told to compute on."""
        device = asked.device if asked.device != "auto" else "cuda" if self.gpu else "cpu"
        return Choice(device, asked.precision, asked.threads if self.gpu else self.threads)


@dataclass(frozen=True)
class Outcome:
    """What became of the jobs of a queue, and the device that it was made for."""

    tally: Tally
    queue: Sequence[Planned]
    device: torch.device


def run_over_ray(
    queue: Callable[[torch.device], Sequence[Planned]],
    place: Workplace,
    say: Callable[[str], None],
    minutes: float | None = None,
    address: str | None = None,
) -> Outcome:
    """Runs what can be run on the machines of a cluster, or on this one's cores, until it is done or time is over.

    Args:
        queue: The queue for a device: the best that the cluster has.
        place: Where the work lies, for all machines alike.
        say: Takes lines of progress.
        minutes: After which cells are told to stop, or not begun.
        address: Of the cluster (`ray_cluster`).

    Raises:
        UsageError: No machine has so many cores, or the GPU that was asked for.
    """
    end = None if minutes is None else time.time() + 60 * minutes
    asked = choice()
    threads = asked.threads or 1
    with ray_cluster(address, max(usable_cores(), threads)) as there:
        gpus = asked.device in ("auto", "cuda") and there.get("GPU", 0) >= 1
        _check_slots(asked, threads, gpus, there)
        device = torch.device("cuda") if gpus else _CPU
        planned = queue(device)
        able = [one for one in planned if one.obstacle is None]
        slots = {one: _slot(one, asked, threads, gpus) for one in able}
        say(f"{len(able)} jobs for {_described(there, threads, gpus)}")
        with terminated_as_interrupted():
            return Outcome(_handed_out(able, slots, place, say, end), planned, device)


def _handed_out(
    able: Sequence[Planned], slots: dict[Planned, Slot], place: Workplace, say: Callable[[str], None], end: float | None
) -> Tally:
    import ray

    tally, asked, where = Tally(), choice(), Path.cwd()
    held, running = list(able), {}
    try:
        while True:
            for one in [one for one in held if one.job.needs is None or place.has_weights(one.job.needs)]:
                held.remove(one)
                task = ray.remote(_at_work).options(**slots[one].asks_for())
                running[task.remote(one, place, slots[one].choice(asked), end, where)] = one
            if not running:
                tally.waiting += [one.job.name for one in held]
                return tally
            (done,), _ = ray.wait([*running], num_returns=1)
            one = running.pop(done)
            try:
                part, lines = ray.get(done)
            except ray.exceptions.RayTaskError as error:
                raise PayAttentionError(f"{one.job.name}: {first_line(error.cause)}") from None
            except ray.exceptions.RayError as error:
                tally.stopped.append(one.job.name)
                say(f"{one.job.name}: its machine or process is gone ({first_line(error)})")
                continue
            for line in lines:
                say(line)
            _add(tally, part)
    except BaseException:
        for under_way in running:  # each command saves itself, as after Ctrl-C
            ray.cancel(under_way)
        if running:
            ray.wait([*running], num_returns=len(running), timeout=2 * GRACE)
        raise


def _at_work(
    planned: Planned, place: Workplace, on: Choice, end: float | None, where: Path
) -> tuple[Tally, Sequence[str]]:
    """In a process of Ray's: runs one job, and gives what became of it, and what was said."""
    lines: list[str] = []
    host = platform.node()
    minutes = None if end is None else max(0.0, end - time.time()) / 60
    with chdir(where), choosing(on.device, on.precision, on.threads):
        tally = run([planned], place, lambda line: lines.append(f"{host}: {line}"), minutes)
    return tally, lines


def _slot(planned: Planned, asked: Choice, threads: int, gpus: bool) -> Slot:
    """A GPU for what would take a core long, or where one was asked for."""
    long = expected_hours(planned.job, _CPU) * torch.get_num_threads() / threads > ON_A_CPU
    return Slot(gpus and (long or asked.device == "cuda"), threads)


def _check_slots(asked: Choice, threads: int, gpus: bool, there: Any) -> None:
    import ray

    if asked.device == "cuda" and not gpus:
        raise UsageError("--device cuda: no machine of this Ray has a GPU")
    most = max((int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]), default=0)
    if most < threads:
        raise UsageError(f"--threads {threads}: no machine of this Ray has more than {most} cores for it")


def _described(there: Any, threads: int, gpus: bool) -> str:
    cores = int(there.get("CPU", 0)) // threads
    parts = [f"{cores} slots of {threads} core{'s' if threads > 1 else ''}"]
    parts += [f"{int(there['GPU'])} of a GPU"] if gpus else []
    return " and ".join(parts)


def _add(tally: Tally, part: Tally) -> None:
    tally.failed |= part.failed
    for field in fields(Tally):
        if field.name != "failed":
            getattr(tally, field.name).extend(getattr(part, field.name))
