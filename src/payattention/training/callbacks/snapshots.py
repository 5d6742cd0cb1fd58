"""Saving a run's whole state while it trains, and taking it up again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from payattention.errors import CheckpointError
from payattention.models import Classifier
from payattention.system.files import remove_halves
from payattention.training import snapshot
from payattention.training.callbacks.finiteness import not_finite
from payattention.training.features import is_frozen
from payattention.training.optimisation import rate_of
from payattention.training.stopping import Stop, Stopped

FOLDER = "snapshots"
EVERY = 500
"""Steps from one snapshot to the next within an epoch."""
_ASK = 10
"""Steps after which several processes ask each other whether to stop: each time, all wait for the slowest."""


@dataclass(frozen=True)
class Position:
    """Where a run stands: the next batch of an epoch, each counted from 0, and the steps that were made."""

    epoch: int = 0
    batch: int = 0
    step: int = 0


BEGINNING = Position()


class Snapshots(Callback):
    """Saves a run at each epoch's end, every so many steps, and when it is told to stop; goes on from what it finds.

    It must be the last callback, so that it saves and restores what the others have left.

    Args:
        run: The run folder.
        model: The classifier that is trained, or whose head is.
        stop: Tells when to stop.
        every: Steps between two snapshots within an epoch.

    Raises:
        CheckpointError: There are snapshots, and none is whole.
    """

    def __init__(self, run: Path, model: Classifier, stop: Stop, every: int = EVERY) -> None:
        self.folder = run / FOLDER
        self.model, self.stop, self.every = model, stop, every
        self._state, self.problems = snapshot.newest(self.folder)
        self.start = BEGINNING if self._state is None else Position(**self._state["position"])

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.stop.listen()  # Lightning has set handlers of its own by now
        # between any two batches it would ask the first process whether to stop, and wait: `_told_to_stop` does it
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
        if trainer.is_global_zero:
            self._tidy()

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        if self._state is None:
            return
        try:
            self._restore(trainer, self._state)
        except (LookupError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"{self.folder}: not snapshots of a run by this config.json ({error})") from None
        self._state = None

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if trainer.is_last_batch:
            return  # the epoch's end is saved when everything has been done that belongs to it
        stopping = self._told_to_stop(trainer)
        if stopping or trainer.global_step % self.every == 0:
            epoch = trainer.current_epoch
            first = self.start.batch if epoch == self.start.epoch else 0
            self._save(trainer, Position(epoch, first + index + 1, trainer.global_step))
        if stopping:
            self._end(trainer)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.current_epoch + 1 == trainer.max_epochs:
            return  # the weights themselves follow
        stopping = self._told_to_stop(trainer, anyway=True)
        self._save(trainer, Position(trainer.current_epoch + 1, 0, trainer.global_step))
        if stopping:
            self._end(trainer)

    def _told_to_stop(self, trainer: Trainer, anyway: bool = False) -> bool:
        told = self.stop.received is not None
        if trainer.world_size == 1:
            return told
        if not anyway and trainer.global_step % _ASK:
            return False
        return trainer.strategy.reduce_boolean_decision(told, all=False)

    def _end(self, trainer: Trainer) -> None:
        trainer.strategy.barrier("saved")  # when one process ends, torchrun ends the others
        raise Stopped(f"stopped at step {trainer.global_step}, saved", self.stop.received or Stop.SIGNALS[0])

    def _save(self, trainer: Trainer, position: Position) -> None:
        state: dict[str, Any] = {
            "position": asdict(position),
            "model": live_state(self.model),
            "optimizers": [optimizer.state_dict() for optimizer in trainer.optimizers],
            "schedules": [config.scheduler.state_dict() for config in trainer.lr_scheduler_configs],
            "random": _random_state(trainer),
            "callbacks": {other.state_key: other.state_dict() for other in self._others(trainer)},
        }
        _check_finite(state["model"], trainer)
        if trainer.is_global_zero:
            snapshot.write(self.folder, position.step, state)

    def _restore(self, trainer: Trainer, state: snapshot.State) -> None:
        fill(self.model, state["model"])
        for optimizer, saved in zip(trainer.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        for config, saved in zip(trainer.lr_scheduler_configs, state["schedules"], strict=True):
            config.scheduler.load_state_dict(saved)
        for other in self._others(trainer):
            if other.state_key in state["callbacks"]:
                other.load_state_dict(state["callbacks"][other.state_key])
        _set_random_state(trainer, state["random"])

    def _others(self, trainer: Trainer) -> list[Callback]:
        return [callback for callback in trainer.callbacks if callback is not self]  # type: ignore[attr-defined]

    def _tidy(self) -> None:
        """Removes halves of snapshots, which a kill leaves, and damaged ones."""
        remove_halves(self.folder)
        for damaged in snapshot.written(self.folder)[::-1][: len(self.problems)]:
            damaged.unlink()


def begin_at(trainer: Trainer, position: Position) -> None:
    """Sets Lightning's counters as they would stand after that many epochs and steps."""
    loop, epochs = trainer.fit_loop, trainer.fit_loop.epoch_progress.current
    epochs.processed = epochs.completed = position.epoch  # type: ignore[attr-defined]
    loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total.completed = position.step
    loop.epoch_loop._batches_that_stepped = position.step  # the step that loggers get


def live_state(model: Classifier) -> dict[str, Tensor]:
    """A model's state less a frozen backbone, which the run's start has."""
    frozen = "trunk.backbone." if is_frozen(model) else None
    return {name: value for name, value in model.state_dict().items() if not (frozen and name.startswith(frozen))}


def fill(model: Classifier, state: Mapping[str, Tensor]) -> None:
    """Fills a model with a snapshot's state, in place.

    Raises:
        CheckpointError: The state of another network.
    """
    if live_state(model).keys() != state.keys():
        raise CheckpointError(f"the snapshot is of another network than {model.name}")
    model.load_state_dict(state, strict=False)


def _check_finite(state: Mapping[str, Tensor], trainer: Trainer) -> None:
    finite = torch.stack([value.isfinite().all() for value in state.values() if value.is_floating_point()])
    if not finite.all():
        raise not_finite("the weights are", trainer, trainer.global_step, rate_of(trainer.optimizers[0]))


def _random_state(trainer: Trainer) -> dict[str, Tensor]:
    """The states of the generators that dropout draws from, (processes, bytes) by device."""
    states = {"cpu": torch.get_rng_state()}
    device = trainer.strategy.root_device
    if device.type != "cpu":
        states[device.type] = torch.get_device_module(device).get_rng_state()
    return {name: _of_all(trainer, state) for name, state in states.items()}


def _of_all(trainer: Trainer, state: Tensor) -> Tensor:
    if trainer.world_size == 1:
        return state[None]
    own = state.to(trainer.strategy.root_device)
    states = [torch.empty_like(own) for _ in range(trainer.world_size)]
    torch.distributed.all_gather(states, own)
    return torch.stack(states).cpu()


def _set_random_state(trainer: Trainer, states: Mapping[str, Tensor]) -> None:
    if trainer.global_rank >= len(states["cpu"]):
        return  # there are more processes than there were: this one's stream is new
    torch.set_rng_state(states["cpu"][trainer.global_rank].clone())  # given a view of a row, PyTorch dies
    device = trainer.strategy.root_device
    if device.type != "cpu" and device.type in states:
        torch.get_device_module(device).set_rng_state(states[device.type][trainer.global_rank].clone())
