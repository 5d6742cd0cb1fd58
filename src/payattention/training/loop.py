"""The training loop: epochs, batches, steps. Whatever else happens in a run is done by its callbacks."""

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from payattention.system.processes import Processes
from payattention.training.batches import TrainingSet, batches_of
from payattention.training.features import FeatureSet
from payattention.training.objective import Objective
from payattention.training.optimisation import create_optimizer, create_schedule, rate_of
from payattention.training.recipe import Recipe


@dataclass(frozen=True)
class Position:
    """Where a run stands: the next batch of an epoch, each counted from 0, and the steps that were made."""

    epoch: int = 0
    batch: int = 0
    step: int = 0


BEGINNING = Position()


class Run:
    """A training as it stands: what it trains, how, and how far it is.

    Args:
        fabric: Of devices, processes and precision.
        processes: Those that train together; each takes its share of every batch.
        network: The classifier, or what follows its frozen backbone; put on its device, and in training mode.
        data: The set, or the features of a frozen backbone.
        recipe: How to train.
        seed: Of order and augmentation.
        callbacks: What else happens, in this order.
        start: Where to begin.

    Attributes:
        objective: What a step makes smaller.
        optimizer: Of the network's weights.
        schedule: Of the optimizer's rate, step by step.
        epoch: The one at hand, from 0.
        batch: How many of its batches are done.
        step: How many steps were made, in all.
    """

    def __init__(
        self,
        fabric: Fabric,
        processes: Processes,
        network: nn.Module,
        data: TrainingSet | FeatureSet,
        recipe: Recipe,
        seed: int,
        callbacks: Sequence["Callback"] = (),
        start: Position = BEGINNING,
    ) -> None:
        self.fabric, self.processes, self.callbacks = fabric, processes, callbacks
        self.data, self.recipe, self.seed = data, recipe, seed
        objective = Objective(network, recipe.label_smoothing, processes, recipe.border_penalty)
        self.objective = fabric.setup_module(objective.train())
        self.optimizer = create_optimizer(network, recipe)
        self.schedule = create_schedule(self.optimizer, recipe, self.batches)
        self.epoch, self.batch, self.step = start.epoch, start.batch, start.step

    def close(self) -> None:
        """Lets go of what holds on to the processes' group, so that nobody does when the group is left.

        Else the last one to let go would be PyTorch's reducer: it waits for gloo's threads with Python's lock in its
        hand, which a thread of them may be waiting for.
        """
        del self.objective
        if self.processes.count > 1:
            gc.collect()  # its parts refer to each other

    @property
    def epochs(self) -> int:
        return self.recipe.epochs

    @property
    def batches(self) -> int:
        """In a whole epoch."""
        return batches_of(len(self.data), self.recipe)

    @property
    def device(self) -> torch.device:
        return self.fabric.device


@dataclass(frozen=True)
class Step:
    """A step that was made; of several processes, this one's share of it.

    Attributes:
        loss: Mean over the images, before the step, (); on the device, as `wrong` is: reading it waits.
        wrong: Number of images whose class was not found, ().
        images: Their number.
        rate: The learning rate that the step was made with.
    """

    loss: Tensor
    wrong: Tensor
    images: int
    rate: float


class Callback:
    """Does something at some moments of a run; what it keeps, a snapshot holds by the name of its class."""

    def on_start(self, run: Run) -> None:
        """Before the first step; a run that is resumed stands where it goes on."""

    def on_epoch_start(self, run: Run) -> None:
        """Before an epoch, or what is left of it."""

    def on_batch_end(self, run: Run, step: Step) -> None:
        """After each step; it is counted."""

    def on_epoch_end(self, run: Run) -> None:
        """After each epoch; it is still the one at hand."""

    def on_end(self, run: Run) -> None:
        """After the last epoch, or whatever else ended the run."""

    def state_dict(self) -> dict[str, Any]:
        """What it needs to go on."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on, on what `state_dict` gave; called after `on_start`."""


def train(run: Run) -> None:
    """Trains from where a run stands to the end of its last epoch."""
    try:
        for callback in run.callbacks:
            callback.on_start(run)
        while run.epoch < run.epochs:
            _train_epoch(run)
            run.epoch, run.batch = run.epoch + 1, 0
    finally:
        for callback in run.callbacks:
            callback.on_end(run)


def _train_epoch(run: Run) -> None:
    for callback in run.callbacks:
        callback.on_epoch_start(run)
    for inputs, labels in run.data.epoch(run.recipe, run.seed, run.epoch, run.batch, run.processes):
        step = _train_batch(run, inputs, labels)
        for callback in run.callbacks:
            callback.on_batch_end(run, step)
    for callback in run.callbacks:
        callback.on_epoch_end(run)


def _train_batch(run: Run, inputs: Tensor | dict[str, Tensor], labels: Tensor) -> Step:
    rate = rate_of(run.optimizer)
    loss, wrong = run.objective(*run.fabric.to_device((inputs, labels)))
    run.optimizer.zero_grad()
    run.fabric.backward(loss)
    run.optimizer.step()
    run.schedule.step()
    run.batch, run.step = run.batch + 1, run.step + 1
    return Step(loss.detach(), wrong, len(labels), rate)
