"""Which convolutions does Winograd's algorithm train faster? `python benchmarks/winograd.py`, minutes on an idle CPU.

Times both passes of single convolutions, direct and by Winograd's algorithm, in turn, on one thread, and writes
results/winograd.json. The rule that `payattention train` decides by (`faster_in_training`) has three constants; they
are fitted here to the measured ratios, and the rule as it stands in the code is judged by the same times: how often it
takes the faster way, and what its mistakes cost.
"""

import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import least_squares
from torch import Tensor, nn

from payattention.models.rewrites.winograd import TILE, WinogradConv2d, faster_in_training
from payattention.system.files import write_json
from payattention.system.provenance import Stopwatch

RESULT = Path(__file__).parent.parent / "results" / "winograd.json"
CHANNELS, SIDES, COUNTS = (64, 128, 256, 512), (4, 8, 16, 32), (4, 16, 64)
MOST = 20e9
"""Multiplications of a direct pass; larger ones take longest and are decided."""
REPEATS = 3


class Always(WinogradConv2d):
    """Winograd's algorithm whether or not it pays."""

    def _pays(self, images: Tensor) -> bool:
        return True


def seconds(conv: nn.Conv2d, images: Tensor) -> float:
    """Of one forward and backward pass."""
    start = time.perf_counter()
    conv(images).sum().backward()
    return time.perf_counter() - start


def measured(in_channels: int, out_channels: int, side: int, count: int) -> dict[str, Any]:
    """Both ways in turn; the median of their ratios."""
    direct = nn.Conv2d(in_channels, out_channels, 3, padding=1).to(memory_format=torch.channels_last)
    fast = Always.of(direct)
    images = torch.rand(count, in_channels, side, side).to(memory_format=torch.channels_last).requires_grad_()
    seconds(direct, images), seconds(fast, images)  # the first time is spent on memory
    pairs = [(seconds(direct, images), seconds(fast, images)) for _ in range(REPEATS)]
    return {
        "shape": [count, in_channels, side, side],
        "out_channels": out_channels,
        "direct_ms": round(1e3 * statistics.median(direct for direct, _ in pairs), 3),
        "times_as_fast": round(statistics.median(direct / fast for direct, fast in pairs), 3),
        "taken": faster_in_training((count, in_channels, side, side), out_channels),
    }


def fitted(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The constants of `faster_in_training` that fit the ratios best, by their logarithms, outliers weighing less."""
    shapes = np.array([[*row["shape"], row["out_channels"]] for row in rows], float)
    count, in_channels, height, width, out_channels = shapes.T
    tiles = count * np.ceil(height / TILE) * np.ceil(width / TILE)
    channels = 2 / (1 / in_channels + 1 / out_channels)
    ratios = np.array([1 / row["times_as_fast"] for row in rows])

    def misfit(logs: np.ndarray) -> np.ndarray:
        products, transforms, weights = np.exp(logs)
        cost = tiles * (products + transforms / channels) + weights * channels
        return np.asarray(np.log(cost / (9 * count * height * width) / ratios))

    found = least_squares(misfit, np.log([36.0, 5000.0, 10.0]), loss="soft_l1", f_scale=0.1)
    return dict(zip(("products", "transforms", "weights"), np.exp(found.x).round(1).tolist(), strict=True))


def judged(rows: list[dict[str, Any]], takes: Callable[[dict[str, Any]], bool]) -> float:
    """Time of all rows beside that of the faster way everywhere: a geometric mean, 1 at best."""
    lost = [math.log(max(row["times_as_fast"], 1) / (row["times_as_fast"] if takes(row) else 1)) for row in rows]
    return round(math.exp(statistics.fmean(lost)), 4)


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    watch, rows = Stopwatch(), []
    for in_channels, out_channels, side, count in product(CHANNELS, CHANNELS, SIDES, COUNTS):
        if 9 * count * side**2 * in_channels * out_channels <= MOST and out_channels in (in_channels, 2 * in_channels):
            rows.append(measured(in_channels, out_channels, side, count))
            print(rows[-1], file=sys.stderr)
    result = {
        "rows": rows,
        "fitted": fitted(rows),
        "time_beside_the_best_choices": {
            "the rule": judged(rows, lambda row: row["taken"]),
            "always direct": judged(rows, lambda _: False),
            "always Winograd": judged(rows, lambda _: True),
        },
    }
    provenance = {**asdict(watch.provenance(torch.device("cpu"), 0)), "command": "python benchmarks/winograd.py"}
    write_json(RESULT, {**result, "provenance": provenance})
    print({**result, "rows": len(rows)}, file=sys.stderr)


if __name__ == "__main__":
    main()
