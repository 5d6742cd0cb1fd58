"""How far a piece of work is: a bar on a terminal, elsewhere a line every ten seconds at most."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")

LINE_EVERY = 10.0
"""Seconds from one line to the next where there is no terminal; shorter work is silent there."""
_BAR_EVERY = 0.5  # seconds: over less, a rate is mostly noise

follower: ContextVar[Callable[[str, float], object] | None] = ContextVar("follower", default=None)
"""Who else is told, by every meter, what is being done and which share of it is done; for those that show it otherwise
than a console does."""


class Meter:
    """Shows, while its context lasts, the share of some work that is done, at which rate, and the time left.

    Args:
        what: Is being done; may be changed on the way, as `note` may.
        total: Of the work, in any unit.
        console: Where it is shown; None shows nothing.
        unit: What is counted.
    """

    def __init__(self, what: str, total: float, console: Console | None, unit: str = "images") -> None:
        self.what, self.total, self.unit, self.note = what, total, unit, ""
        self.done = self._before = 0.0
        self._counted = 0
        self._console = None if console is None or console.quiet else console
        self._bar = _bar(self._console) if self._console is not None and self._console.is_terminal else None

    def __enter__(self) -> "Meter":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Shows it; time runs."""
        self._start = self._since = time.monotonic()
        self._tell()
        if self._bar is not None:
            self._task = self._bar.add_task(self.what, total=self.total, rate="", note=self.note)
            self._bar.update(self._task, completed=self.done)
            self._bar.start()

    def close(self) -> None:
        """Shows it no longer; the cursor comes back. Once more does no harm."""
        if self._bar is not None and self._bar.tasks:
            self._bar.update(self._task, completed=self.done)
            self._bar.stop()

    def begin_at(self, done: float) -> None:
        """So much was done before, as by a run that is resumed."""
        self.done = self._before = done
        if self._bar is not None:
            self._bar.reset(self._task)
            self._bar.update(self._task, completed=done)

    def advance(self, count: int, work: float | None = None) -> None:
        """So many units are done, which are so much of the total; by default as much."""
        self.done += count if work is None else work
        self._counted += count
        self._tell()
        now = time.monotonic()
        if self._console is None or now - self._since < (LINE_EVERY if self._bar is None else _BAR_EVERY):
            return
        rate = f"{_three_digits(self._counted / (now - self._since))} {self.unit}/s"
        self._since, self._counted = now, 0
        if self._bar is not None:
            self._bar.update(self._task, description=self.what, completed=self.done, rate=rate, note=self.note)
        elif self.done < self.total:
            left = (self.total - self.done) * (now - self._start) / (self.done - self._before)
            words = (self.what, f"{self.done / self.total:.0%}", self.note, rate, f"{_clock(left)} left")
            self._console.print("  ".join(filter(None, words)), highlight=False, markup=False, soft_wrap=True)

    def _tell(self) -> None:
        if (tell := follower.get()) is not None:
            tell(self.what, self.done / self.total if self.total else 1.0)


def tracked(
    steps: Iterable[T],
    what: str,
    total: int,
    console: Console | None,
    *,
    count: Callable[[T], int] = lambda step: 1,
    unit: str = "images",
) -> Iterator[T]:
    """The steps of some work, one after the other, with a meter on the console: each counts when it is done."""
    with Meter(what, total, console, unit) as meter:
        for step in steps:
            yield step
            meter.advance(count(step))


def length(chosen: slice) -> int:
    """How many a slice takes, to count batches by."""
    return int(chosen.stop - chosen.start)


def _bar(console: Console) -> Progress:
    columns = ("{task.description}", "{task.percentage:>3.0f}%", "{task.fields[note]}", "{task.fields[rate]}")
    name, share, note, rate = (TextColumn(text, markup=False) for text in columns)
    return Progress(
        name, BarColumn(), share, note, rate, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        console=console,
    )  # fmt: skip


def _three_digits(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
