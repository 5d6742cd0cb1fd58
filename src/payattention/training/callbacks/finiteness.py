"""A loss or a weight that is no longer a number ends the run, with the step and the rate at which it happened."""

from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from payattention.errors import PayAttentionError
from payattention.training.optimisation import rate_of

_EVERY = 50  # steps: looking waits for the device


class Finite(Callback):
    """Stops a run whose loss is no longer finite; it comes before those that write losses.

    The first such step is noted on the device, which is asked every 50 steps and at the end of each epoch.
    """

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.step = torch.zeros((), dtype=torch.int64, device=module.device)
        self.rate = torch.zeros((), device=module.device)

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, index: int) -> None:
        self.lr = rate_of(trainer.optimizers[0])

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        first = ~outputs["loss"].isfinite() & (self.step == 0)
        self.step = torch.where(first, trainer.global_step, self.step)
        self.rate = torch.where(first, self.lr, self.rate)
        if trainer.global_step % _EVERY == 0:
            self._look(trainer)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._look(trainer)

    def _look(self, trainer: Trainer) -> None:
        if step := int(self.step):
            raise not_finite("the loss is", trainer, step, float(self.rate))


def not_finite(what: str, trainer: Trainer, step: int, rate: float) -> PayAttentionError:
    """The error, whatever it was found in; who knows of a snapshot adds which is the last (`experiment`)."""
    peak = trainer.optimizers[0].defaults["lr"]
    return PayAttentionError(
        f"{what} no longer finite at step {step}, in epoch {trainer.current_epoch + 1} (learning rate {rate:g}); "
        f"try a lower rate, as with --recipe-set lr={peak / 10:.2g}"
    )
