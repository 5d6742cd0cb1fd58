"""Saving a run's whole state while it trains, and taking it up again."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from payattention.errors import CheckpointError
from payattention.models import Classifier
from payattention.system.files import remove_halves
from payattention.training import snapshot
from payattention.training.callbacks.finiteness import not_finite
from payattention.training.features import is_frozen
from payattention.training.loop import BEGINNING, Callback, Position, Run, Step
from payattention.training.optimisation import rate_of
from payattention.training.stopping import Stop, Stopped

FOLDER = "snapshots"
EVERY = 500
"""Steps from one snapshot to the next within an epoch."""
_ASK = 10
"""Steps after which several processes ask each other whether to stop: each time, all wait for the slowest."""


class Snapshots(Callback):
    """Saves a run at each epoch's end, every so many steps, and when it is told to stop; goes on from what it finds.

    After the last epoch only where more may follow (`Recipe.open_ended`).

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

    def on_start(self, run: Run) -> None:
        self.stop.listen()
        if run.processes.first:
            self._tidy()
        if self._state is None:
            return
        try:
            self._restore(run, self._state)
        except (LookupError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"{self.folder}: not snapshots of a run by this config.json ({error})") from None
        self._state = None

    def on_batch_end(self, run: Run, step: Step) -> None:
        if run.batch == run.batches:
            return  # the epoch's end is saved when everything has been done that belongs to it
        stopping = self._told_to_stop(run)
        if stopping or run.step % self.every == 0:
            self._save(run, Position(run.epoch, run.batch, run.step))
        if stopping:
            self._end(run)

    def on_epoch_end(self, run: Run) -> None:
        if (last := run.epoch + 1 == run.epochs) and not run.recipe.open_ended:
            return  # the weights themselves follow
        stopping = not last and self._told_to_stop(run, anyway=True)
        self._save(run, Position(run.epoch + 1, 0, run.step))
        if stopping:
            self._end(run)

    def _told_to_stop(self, run: Run, anyway: bool = False) -> bool:
        told = self.stop.received is not None
        if run.processes.count == 1:
            return told
        if not anyway and run.step % _ASK:
            return False
        return run.fabric.strategy.reduce_boolean_decision(told, all=False)

    def _end(self, run: Run) -> None:
        run.fabric.barrier("saved")  # when one process ends, torchrun ends the others
        raise Stopped(f"stopped at step {run.step}, saved", self.stop.received or Stop.SIGNALS[0])

    def _save(self, run: Run, position: Position) -> None:
        state: dict[str, Any] = {
            "position": asdict(position),
            "model": live_state(self.model),
            "optimizers": [run.optimizer.state_dict()],
            "schedules": [run.schedule.state_dict()],
            "random": _random_state(run),
            "callbacks": {name: other.state_dict() for name, other in self._others(run).items()},
        }
        _check_finite(state["model"], run)
        if run.processes.first:
            snapshot.write(self.folder, position.step, state)

    def _restore(self, run: Run, state: snapshot.State) -> None:
        fill(self.model, state["model"])
        (optimizer,), (schedule,) = state["optimizers"], state["schedules"]
        run.optimizer.load_state_dict(optimizer)
        run.schedule.load_state_dict(schedule)
        for name, other in self._others(run).items():
            if name in state["callbacks"]:
                other.load_state_dict(state["callbacks"][name])
        _set_random_state(run, state["random"])

    def _others(self, run: Run) -> dict[str, Callback]:
        return {type(callback).__name__: callback for callback in run.callbacks if callback is not self}

    def _tidy(self) -> None:
        """Removes halves of snapshots, which a kill leaves, and damaged ones."""
        remove_halves(self.folder)
        for damaged in snapshot.written(self.folder)[::-1][: len(self.problems)]:
            damaged.unlink()


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


def _check_finite(state: Mapping[str, Tensor], run: Run) -> None:
    finite = torch.stack([value.isfinite().all() for value in state.values() if value.is_floating_point()])
    if not finite.all():
        raise not_finite("the weights are", run, run.step, rate_of(run.optimizer))


def _random_state(run: Run) -> dict[str, Tensor]:
    """The states of the generators that dropout draws from, (processes, bytes) by device."""
    states = {"cpu": torch.get_rng_state()}
    if run.device.type != "cpu":
        states[run.device.type] = torch.get_device_module(run.device).get_rng_state()
    return {name: _of_all(run, state) for name, state in states.items()}


def _of_all(run: Run, state: Tensor) -> Tensor:
    if run.processes.count == 1:
        return state[None]
    own = state.to(run.device)
    states = [torch.empty_like(own) for _ in range(run.processes.count)]
    torch.distributed.all_gather(states, own)
    return torch.stack(states).cpu()


def _set_random_state(run: Run, states: Mapping[str, Tensor]) -> None:
    rank, device = run.processes.rank, run.device
    if rank >= len(states["cpu"]):
        return  # there are more processes than there were: this one's stream is new
    torch.set_rng_state(states["cpu"][rank].clone())  # given a view of a row, PyTorch dies
    if device.type != "cpu" and device.type in states:
        torch.get_device_module(device).set_rng_state(states[device.type][rank].clone())
