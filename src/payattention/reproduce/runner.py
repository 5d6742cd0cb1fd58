"""The runner: job after job, each a command of its own, so that one that crashes takes nothing with it.

A training that is told to stop saves itself and goes on in the next slice. Everything else is started only when it is
expected to end in time.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from payattention.data.places import VARIABLE
from payattention.reproduce.jobs import Job, Training, command, resumption
from payattention.reproduce.queue import Planned, duration
from payattention.reproduce.slices import close_slice, slice_lengths, timed_slice
from payattention.reproduce.workplace import Workplace
from payattention.system.claim import claim
from payattention.system.files import write_json, write_text
from payattention.weights.header import RESULT, WEIGHTS

GRACE = 120.0  # seconds that a command has to save itself
_STOPPED = (-signal.SIGTERM, -signal.SIGINT, 128 + signal.SIGTERM, 128 + signal.SIGINT)


@dataclass
class Tally:
    """What became of a slice's jobs, by name.

    Attributes:
        done: They have a result now.
        failed: With the reason.
        stopped: They go on next time.
        waiting: They need more time than was left, or a training that is not there yet.
        elsewhere: Another process is at them.
    """

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)


def run(queue: Sequence[Planned], place: Workplace, say: Callable[[str], None], minutes: float | None = None) -> Tally:
    """Runs what can be run, in order, until it is done or the minutes are over."""
    tally, end = Tally(), None if minutes is None else time.monotonic() + 60 * minutes
    able = [planned for planned in queue if planned.obstacle is None]
    with terminated_as_interrupted():
        for count, planned in enumerate(able, 1):
            job = planned.job
            if not _in_time(planned, place, end) or (job.needs and not place.has_weights(job.needs)):
                tally.waiting.append(job.name)
                continue
            with claim(place.runs / f"{job.name}.claim") as mine:
                if mine is None:
                    tally.elsewhere.append(job.name)
                    continue
                if _finished(planned, place):  # by another process, since the queue was made
                    continue
                say(f"[{count} of {len(able)}] {job.name}, about {duration(planned.hours)}; log: {place.log(job)}")
                started = time.monotonic()
                outcome = _run(job, place, mine, end)
                _note(tally, job, outcome, place)
                say(f"    {outcome} after {duration((time.monotonic() - started) / 3600)}")
    return tally


def _in_time(planned: Planned, place: Workplace, end: float | None) -> bool:
    """Whether a job may be started: a training whenever there is time left, since it can be stopped.

    A measurement that was stopped wants half as much again as it had, or a queue of short slices would never pass it.
    """
    left = float("inf") if end is None else end - time.monotonic()
    if isinstance(planned.job, Training):
        return left > 0
    return left > max(3600 * planned.hours, *(1.5 * had for had in slice_lengths(place.slices(planned.job))), 0)


def _finished(planned: Planned, place: Workplace) -> bool:
    """Whether a job has its result, and its weights where it is there for those."""
    job = planned.job
    weightless = isinstance(job, Training) and not planned.cells and not place.has_weights(job)
    return place.has_result(job) and not weightless


def _run(job: Job, place: Workplace, claimed: int, end: float | None) -> str:
    """Runs a job's command; returns "done", "stopped" or what went wrong."""
    printed = place.runs / f"{job.name}.json"
    if (kept := _kept(job, place)) is None:
        words = resumption(job, place.runs)
        if words is None:
            shutil.rmtree(place.runs / job.name, ignore_errors=True)  # what a killed command has left
            place.slices(job).unlink(missing_ok=True)
            words = command(job, place.runs)
        with timed_slice(place.slices(job), _signs(job, place)):
            status = _call(words, place, printed, place.log(job), claimed, end)
        if status in _STOPPED:
            return "stopped"
        if status:
            return _last_line(place.log(job)) if status > 0 else f"killed by signal {-status}"
        kept = printed
    try:
        content: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return f"its result cannot be read: {kept}"
    write_json(place.result(job), {"settings": job.settings(), **_origin(job, place), "result": content})
    printed.unlink(missing_ok=True)
    return "done"


def _origin(job: Job, place: Workplace) -> dict[str, Any]:
    """The command from the start, and the seconds that it ran in all, a resumed one in several slices."""
    close_slice(place.slices(job), _signs(job, place))
    slices = slice_lengths(place.slices(job))
    words = shlex.join(["payattention", *command(job, place.runs)])
    return {"command": words, "seconds": round(sum(slices), 2), "slices": len(slices)}


def _signs(job: Job, place: Workplace) -> list[Path]:
    """What a job's command writes while it lives."""
    return [place.log(job), *(place.runs / job.name).glob("*")]


def _kept(job: Job, place: Workplace) -> Path | None:
    """The result of a training that ended when nobody was there to collect it."""
    folder = place.runs / job.name
    whole = isinstance(job, Training) and (folder / RESULT).is_file() and (folder / WEIGHTS).is_file()
    return folder / RESULT if whole else None


def _call(words: list[str], place: Workplace, printed: Path, log: Path, claimed: int, end: float | None) -> int:
    """The exit status of a command, which is told to stop at the end and inherits the claim."""
    root = {VARIABLE: str(place.data_root)} if place.data_root else {}  # not in the command, which results record
    with printed.open("w") as out, log.open("a") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "payattention", *words],
            stdout=out,
            stderr=err,
            env={**os.environ, **root},
            pass_fds=(claimed,),
            start_new_session=True,  # Ctrl-C comes to us alone; we tell the command, once
        )
        try:
            return process.wait(None if end is None else max(end - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            return _stop(process)
        except BaseException:
            _stop(process)
            raise


def _stop(process: "subprocess.Popen[bytes]") -> int:
    process.terminate()
    try:
        status = process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return -signal.SIGTERM
    return 0 if status == 0 else -signal.SIGTERM


def _note(tally: Tally, job: Job, outcome: str, place: Workplace) -> None:
    if outcome == "done":
        tally.done.append(job.name)
        place.failure(job).unlink(missing_ok=True)
    elif outcome == "stopped":
        tally.stopped.append(job.name)
    else:
        tally.failed[job.name] = outcome
        write_text(place.failure(job), outcome + "\n")


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("payattention: ") if lines else "it said nothing"


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends the slice as Ctrl-C does, the command at work included."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # Python allows it nowhere else
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
