"""How far work is: a bar on a terminal, a line every ten seconds elsewhere, and nothing where nobody looks."""

import io
import time

import pytest
from rich.console import Console

from payattention.system import progress
from payattention.system.progress import Meter, follower, tracked


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    return clock


def console(terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120)


def said(shown: Console) -> list[str]:
    assert isinstance(shown.file, io.StringIO)
    return shown.file.getvalue().splitlines()


def test_without_a_terminal_a_line_every_ten_seconds(clock: Clock) -> None:
    """A hundred steps of one second, 5 images each: 9 lines, and none for what is done."""
    shown = console()
    for _ in tracked(range(100), "measuring", 500, shown, count=lambda _: 5):
        clock.now += 1
    lines = said(shown)
    assert len(lines) == 9
    assert lines[0] == "measuring  10%  5 images/s  1:30 left"
    assert lines[-1] == "measuring  90%  5 images/s  0:10 left"


def test_short_work_is_silent_there(clock: Clock) -> None:
    shown = console()
    for _ in tracked(range(9), "measuring", 9, shown):
        clock.now += 1
    assert said(shown) == []


def test_what_a_resumed_run_had_done_counts_but_not_for_the_time_left(clock: Clock) -> None:
    shown = console()
    with Meter("epoch 2/2", 100, shown, unit="pictures") as meter:
        meter.begin_at(50)
        meter.note = "loss 0.123"
        clock.now += 3700
        meter.advance(3700, 25)
    assert said(shown) == ["epoch 2/2  75%  loss 0.123  1 pictures/s  1:01:40 left"]


def test_on_a_terminal_there_is_a_bar() -> None:
    shown = console(terminal=True)
    with Meter("decoding", 3, shown, unit="pictures") as meter:
        for _ in range(3):
            time.sleep(0.01)
            meter.advance(1)
    text = " ".join(said(shown))
    assert "decoding" in text
    assert "100%" in text
    assert text.endswith("\x1b[?25h") or "\x1b[?25h" in text  # the cursor is back


@pytest.mark.parametrize("nobody", [None, Console(quiet=True)])
def test_nobody_looks(nobody: Console | None) -> None:
    assert list(tracked(range(3), "measuring", 3, nobody)) == [0, 1, 2]


def test_work_that_is_broken_off_gives_the_terminal_back() -> None:
    shown = console(terminal=True)
    steps = tracked(range(3), "measuring", 3, shown)
    next(steps)
    steps.close()
    assert "\x1b[?25h" in " ".join(said(shown))


def test_rates_have_three_digits() -> None:
    assert [progress._three_digits(rate) for rate in (0.01234, 3.456, 45.67, 123.4, 12345.6)] == [
        "0.0123", "3.46", "45.7", "123", "12,346",
    ]  # fmt: skip


def test_a_follower_is_told_of_all_work_though_nothing_is_shown() -> None:
    told: list[tuple[str, float]] = []
    token = follower.set(lambda what, share: told.append((what, share)))
    try:
        list(tracked(range(4), "looking", 4, None))
    finally:
        follower.reset(token)
    list(tracked(range(4), "looking", 4, None))
    assert told == [("looking", share) for share in (0, 0.25, 0.5, 0.75, 1)]
