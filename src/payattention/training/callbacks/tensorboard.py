"""TensorBoard: a run's curves and pictures, under `tensorboard/` of its folder."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from payattention.system.extras import check_there
from payattention.training.callbacks.metrics import Metrics
from payattention.training.loop import Callback, Run, Step

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
_EVERY = 50  # steps: reading a loss waits for the device


class Board(Callback):
    """Each epoch's metrics, and between them the loss and the learning rate of every 50th step.

    Args:
        folder: Where to write.
        metrics: Whose lines it shows; it must come before this in the list of callbacks.
    """

    def __init__(self, folder: Path, metrics: Metrics) -> None:
        check_installed()
        self.folder, self.metrics = folder, metrics
        self.writer: SummaryWriter | None = None

    def on_start(self, run: Run) -> None:
        from torch.utils.tensorboard import SummaryWriter

        if run.processes.first:
            # of a run that is resumed, what came after the snapshot is not shown twice
            self.writer = SummaryWriter(self.folder, purge_step=run.step + 1)

    def on_batch_end(self, run: Run, step: Step) -> None:
        if self.writer is not None and run.step % _EVERY == 0:
            self.writer.add_scalar("step/loss", step.loss.item(), run.step)
            self.writer.add_scalar("step/lr", step.rate, run.step)

    def on_epoch_end(self, run: Run) -> None:
        if self.writer is None:
            return
        line = self.metrics.curve[-1]
        for name in ("loss", "train_error", "lr", "images_per_second"):
            self.writer.add_scalar(f"epoch/{name}", line[name], run.step)
        self.writer.flush()

    def picture(self, name: str, image: Image.Image, step: int) -> None:
        """Shows a picture, by the step at which it was made."""
        if self.writer is not None:
            self.writer.add_image(name, np.asarray(image), step, dataformats="HWC")

    def on_end(self, run: Run) -> None:
        if self.writer is not None:
            self.writer.close()


def check_installed() -> None:
    """Raises UsageError where TensorBoard is missing."""
    check_there("--tensorboard", "tensorboard")
