"""Watching a run: one line of metrics an epoch, and a progress bar with the time left."""

import csv
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from payattention.system.progress import Meter
from payattention.system.reporting import per_cent
from payattention.training.loop import Callback, Run, Step

_LOSS_EVERY = 20  # steps: reading a loss waits for the device
COLUMNS = ("epoch", "step", "loss", "train_error", "lr", "images_per_second", "seconds")


class Metrics(Callback):
    """Appends a line an epoch: epoch, step, loss, train error (%), last learning rate, images/s, seconds.

    To `path` as JSON lines, and beside it as CSV.

    The sums stay on the device until the epoch ends, so that watching costs no synchronisation. Of several processes
    each sums its share, and the first one writes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.curve: list[dict[str, float]] = []

    def on_start(self, run: Run) -> None:
        self.writes = run.processes.first
        self._write("w", [])  # a run that is resumed left one; `load_state_dict` writes what holds of it again
        self._begin(run.device)

    def on_epoch_start(self, run: Run) -> None:
        if run.batch == 0:
            self._begin(run.device)

    def _begin(self, device: torch.device) -> None:
        self.start = time.perf_counter()
        self.seen = 0
        self.loss, self.wrong = (torch.zeros((), device=device) for _ in range(2))

    def on_batch_end(self, run: Run, step: Step) -> None:
        self.seen += step.images
        self.loss = self.loss + step.loss * step.images
        self.wrong = self.wrong + step.wrong
        self.lr = step.rate

    def on_epoch_end(self, run: Run) -> None:
        seconds = time.perf_counter() - self.start
        self.loss, self.wrong = run.fabric.all_reduce((self.loss, self.wrong), reduce_op="sum")
        self.seen *= run.processes.count
        line = {
            "epoch": run.epoch + 1,
            "step": run.step,
            "loss": round(self.loss.item() / self.seen, 5),
            "train_error": per_cent(self.wrong.item() / self.seen),
            "lr": self.lr,
            "images_per_second": round(self.seen / seconds, 1),
            "seconds": round(seconds, 2),
        }
        self.curve.append(line)
        self._write("a", [line])
        self._begin(run.device)

    def state_dict(self) -> dict[str, Any]:
        seconds = time.perf_counter() - self.start
        return {"curve": self.curve, "seen": self.seen, "loss": self.loss, "wrong": self.wrong, "seconds": seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.curve, self.seen = state["curve"], state["seen"]
        self.loss, self.wrong = (state[name].to(self.loss.device) for name in ("loss", "wrong"))
        self.start = time.perf_counter() - state["seconds"]
        self._write("w", self.curve)

    def _write(self, mode: str, lines: list[dict[str, float]]) -> None:
        if not self.writes:
            return
        with self.path.open(mode, encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        with self.path.with_suffix(".csv").open(mode, encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            if mode == "w":
                table.writeheader()
            table.writerows(lines)


class Bar(Callback):
    """How far the whole run is.

    Args:
        costs: Of a batch in each epoch, in units of one at the full size.
        batches: In an epoch.
        console: Where to show it.
    """

    def __init__(self, costs: Mapping[int, float], batches: int, console: Console) -> None:
        self.costs = costs
        self.meter = Meter("epoch 1", sum(costs.values()) * batches, console)

    def state_dict(self) -> dict[str, Any]:
        return {"completed": self.meter.done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.meter.begin_at(state["completed"])

    def on_start(self, run: Run) -> None:
        self.meter.start()

    def on_epoch_start(self, run: Run) -> None:
        self.meter.what = f"epoch {run.epoch + 1}/{run.epochs}"

    def on_batch_end(self, run: Run, step: Step) -> None:
        if run.batch % _LOSS_EVERY == 1:
            self.meter.note = f"loss {step.loss.item():.3f}"
        self.meter.advance(step.images * run.processes.count, self.costs[run.epoch])

    def on_end(self, run: Run) -> None:
        self.meter.close()
