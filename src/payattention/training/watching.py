"""Watching a run: one line of metrics an epoch, and a progress bar with the time left."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor

from payattention.errors import PayAttentionError


class Metrics(Callback):
    """Appends one JSON line an epoch: epoch, step, loss, train error (%), last learning rate, images/s, seconds.

    A loss that is not finite stops the run.

    The sums stay on the device until the epoch ends, so that watching costs no synchronisation.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.curve: list[dict[str, float]] = []

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.start = time.perf_counter()
        self.seen = 0
        self.loss = self.wrong = torch.zeros((), device=module.device)

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, index: int) -> None:
        self.lr = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        count = len(batch[1])
        self.seen += count
        self.loss = self.loss + outputs["loss"].detach() * count
        self.wrong = self.wrong + outputs["wrong"]

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        seconds = time.perf_counter() - self.start
        if not self.loss.isfinite():
            raise PayAttentionError(
                f"the loss is not finite in epoch {trainer.current_epoch + 1} (learning rate {self.lr:g}); "
                "try a lower one, as with --recipe-set lr=0.01"
            )
        line = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "loss": round(self.loss.item() / self.seen, 5),
            "train_error": round(100 * self.wrong.item() / self.seen, 3),
            "lr": self.lr,
            "images_per_second": round(self.seen / seconds, 1),
            "seconds": round(seconds, 2),
        }
        self.curve.append(line)
        with self.path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(line) + "\n")


class Bar(Callback):
    """A progress bar over the whole run, on standard error. Costs are images of the full size."""

    def __init__(self, costs: Mapping[int, float], console: Console) -> None:
        self.costs = costs
        self.progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  loss {task.fields[loss]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        total = sum(self.costs.values()) * trainer.num_training_batches
        self.task = self.progress.add_task("", total=total, epoch=f"1/{trainer.max_epochs}", loss="-")
        self.progress.start()

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        self.progress.advance(self.task, self.costs[trainer.current_epoch])
        if index % 20 == 0:
            loss: Tensor = outputs["loss"]
            self.progress.update(
                self.task,
                epoch=f"{trainer.current_epoch + 1}/{trainer.max_epochs}",
                loss=f"{loss.item():.3f}",
            )

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        self.progress.stop()  # gives the cursor back

    def teardown(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        self.progress.stop()
