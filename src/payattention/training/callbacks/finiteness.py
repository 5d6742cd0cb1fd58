"""A loss or a weight that is no longer a number ends the run, with the step and the rate at which it happened."""

import torch

from payattention.errors import PayAttentionError
from payattention.training.loop import Callback, Run, Step

_EVERY = 50  # steps: looking waits for the device


class Finite(Callback):
    """Stops a run whose loss is no longer finite; it comes before those that write losses.

    The first such step is noted on the device, which is asked every 50 steps and at the end of each epoch.
    """

    def on_start(self, run: Run) -> None:
        self.step = torch.zeros((), dtype=torch.int64, device=run.device)
        self.rate = torch.zeros((), device=run.device)

    def on_batch_end(self, run: Run, step: Step) -> None:
        first = ~step.loss.isfinite() & (self.step == 0)
        self.step = torch.where(first, run.step, self.step)
        self.rate = torch.where(first, step.rate, self.rate)
        if run.step % _EVERY == 0:
            self._look(run)

    def on_epoch_end(self, run: Run) -> None:
        self._look(run)

    def _look(self, run: Run) -> None:
        if step := int(self.step):
            raise not_finite("the loss is", run, step, float(self.rate))


def not_finite(what: str, run: Run, step: int, rate: float) -> PayAttentionError:
    """The error, whatever it was found in; who knows of a snapshot adds which is the last (`experiment`)."""
    return PayAttentionError(
        f"{what} no longer finite at step {step}, in epoch {run.epoch + 1} (learning rate {rate:g}); "
        f"try a lower rate, as with --recipe-set lr={run.recipe.lr / 10:.2g}"
    )
