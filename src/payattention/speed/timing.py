"""Timing: one action, or several in turn, so that what else the machine does falls on all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

Action = Callable[[], object]


@dataclass(frozen=True)
class Spread:
    """Minimum, median and maximum of repeated measurements."""

    min: float
    median: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float], digits: int = 3) -> "Spread":
        return cls(*(round(pick(values), digits) for pick in (min, statistics.median, max)))


def seconds_of(action: Action, device: torch.device) -> float:
    """Wall time of an action, what it left running on a GPU included."""
    start = time.perf_counter()
    action()
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter() - start


def repeated(action: Action, device: torch.device, seconds: float, least: int = 3) -> list[float]:
    """Wall times of an action, run again and again for so many seconds and at least so often, after a first run."""
    seconds_of(action, device)
    times: list[float] = []
    while len(times) < least or sum(times) < seconds:
        times.append(seconds_of(action, device))
    return times


def alternated(measures: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What measures that are taken in turn gave, by name, round after round, after a first round that is forgotten."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(rounds + 1):
        for name, measure in measures.items():
            value = measure()
            if number:
                found[name].append(value)
    return found


def ratios(slow: Sequence[float], fast: Sequence[float]) -> Spread:
    """How many times faster the second was, round by round."""
    return Spread.of([a / b for a, b in zip(slow, fast, strict=True)])
