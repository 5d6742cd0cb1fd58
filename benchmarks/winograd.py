"""Measures which convolutions Winograd's algorithm trains faster, for docs/speed.md; minutes on an idle CPU.

Times both passes of single convolutions, direct and by Winograd's algorithm, in turn, on one thread, and writes
results/winograd.json. The rule that `payattention train` decides by (`faster_in_training`) has three constants; they
are fitted here to the measured ratios, and the rule as it stands in the code is judged by the same times: how often it
takes the faster way, and what its mistakes cost.
"""

import math
import statistics
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Annotated, Any

import numpy as np
import torch
import typer
from scipy.optimize import least_squares
from torch import Tensor, nn

from measuring import Measurement, OutOption, RoundsOption, say
from payattention.cli.program import run_script
from payattention.errors import UsageError
from payattention.models.rewrites.winograd import TILE, WinogradConv2d, faster_in_training
from payattention.speed.timing import alternated, ratios, seconds_of

CPU = torch.device("cpu")
CHANNELS, SIDES, COUNTS = (64, 128, 256, 512), (4, 8, 16, 32), (4, 16, 64)


class Always(WinogradConv2d):
    """Winograd's algorithm whether or not it pays."""

    def _pays(self, images: Tensor) -> bool:
        return True


def measured(in_channels: int, out_channels: int, side: int, count: int, rounds: int) -> dict[str, Any]:
    """Both ways in turn; the median of their ratios."""
    direct = nn.Conv2d(in_channels, out_channels, 3, padding=1).to(memory_format=torch.channels_last)
    images = torch.rand(count, in_channels, side, side).to(memory_format=torch.channels_last).requires_grad_()
    convs = {"direct": direct, "fast": Always.of(direct)}
    times = alternated(
        {way: partial(seconds_of, partial(both_passes, conv, images), CPU) for way, conv in convs.items()}, rounds
    )
    return {
        "shape": [count, in_channels, side, side],
        "out_channels": out_channels,
        "direct_ms": round(1e3 * statistics.median(times["direct"]), 3),
        "times_as_fast": ratios(times["direct"], times["fast"]).median,
        "taken": faster_in_training((count, in_channels, side, side), out_channels),
    }


def both_passes(conv: nn.Conv2d, images: Tensor) -> None:
    conv(images).sum().backward()


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


def main(
    most: Annotated[
        float,
        typer.Option(help="10^9 multiplications of a direct pass at most; larger ones take longest and are decided."),
    ] = 20.0,
    rounds: RoundsOption = 3,
    out: OutOption = None,
) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    measurement, rows = Measurement("winograd", out, CPU, seed=0), []
    for in_channels, out_channels, side, count in product(CHANNELS, CHANNELS, SIDES, COUNTS):
        if 9 * count * side**2 * in_channels * out_channels <= 1e9 * most and out_channels in (
            in_channels,
            2 * in_channels,
        ):
            rows.append(measured(in_channels, out_channels, side, count, rounds))
            say(rows[-1])
    if not rows:
        raise UsageError(f"--most {most:g}: no convolution is that small")
    result = {
        "rows": rows,
        "fitted": fitted(rows),
        "time_beside_the_best_choices": {
            "the rule": judged(rows, lambda row: row["taken"]),
            "always direct": judged(rows, lambda _: False),
            "always Winograd": judged(rows, lambda _: True),
        },
    }
    measurement.write(result)
    say({**result, "rows": len(rows)})


if __name__ == "__main__":
    run_script(main)
