"""TensorBoard: a run's curves and pictures, under `tensorboard/` of its folder."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from PIL import Image

from payattention.errors import UsageError
from payattention.training.callbacks.metrics import Metrics

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

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        from torch.utils.tensorboard import SummaryWriter

        if trainer.is_global_zero:
            # of a run that is resumed, what came after the snapshot is not shown twice
            self.writer = SummaryWriter(self.folder, purge_step=trainer.global_step + 1)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if self.writer is not None and trainer.global_step % _EVERY == 0:
            self.writer.add_scalar("step/loss", outputs["loss"].item(), trainer.global_step)
            self.writer.add_scalar("step/lr", self.metrics.lr, trainer.global_step)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        if self.writer is None:
            return
        line = self.metrics.curve[-1]
        for name in ("loss", "train_error", "lr", "images_per_second"):
            self.writer.add_scalar(f"epoch/{name}", line[name], trainer.global_step)
        self.writer.flush()

    def picture(self, name: str, image: Image.Image, step: int) -> None:
        """Shows a picture, by the step at which it was made."""
        if self.writer is not None:
            self.writer.add_image(name, np.asarray(image), step, dataformats="HWC")

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        self._close()

    def teardown(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        self._close()

    def _close(self) -> None:
        if self.writer is not None:
            self.writer.close()


def check_installed() -> None:
    """Raises UsageError where TensorBoard is missing."""
    if find_spec("tensorboard") is None:
        raise UsageError("--tensorboard needs the package tensorboard: pip install 'payattention[tensorboard]'")
