"""More epochs for a run that is finished: its folder becomes that of a run which has stopped, and can be resumed.

Exact where nothing in an epoch depends on how many there are: the state after the last one is kept for that. Otherwise,
as with a rate that has come down to zero, the epochs are a second cycle from the weights, and that is said.
"""

from dataclasses import asdict, replace
from pathlib import Path

from payattention.errors import CheckpointError, UsageError
from payattention.runs.config import Record
from payattention.runs.folder import START, recorded
from payattention.system.files import write_json
from payattention.system.processes import here
from payattention.training.callbacks.snapshots import FOLDER
from payattention.training.fit import METRICS
from payattention.training.snapshot import written
from payattention.weights.header import CONFIG, RESULT, WEIGHTS


def finished(out: Path) -> Record:
    """The record of a run that is finished.

    Raises:
        CheckpointError: There is no run.
        UsageError: It is not finished.
    """
    record = recorded(out)
    if not (out / RESULT).is_file() or not (out / WEIGHTS).is_file():
        raise UsageError(f"{out}: this run is not finished; resume it first, without --epochs")
    return record


def check_longer(out: Path, record: Record, epochs: int) -> None:
    """Raises what `prolong` would, before any data is read."""
    recipe, before = record.recipe, record.epochs_before
    done = before + recipe.epochs
    if epochs <= done:
        raise UsageError(f"--epochs {epochs}: this run has {done} already; say how many it shall have in all")
    replace(recipe, epochs=epochs - before)  # refuses what is out of range
    if here().count > 1:
        raise UsageError("a finished run is given more epochs by one process alone; several can resume it then")
    if recipe.open_ended and not written(out / FOLDER):
        raise CheckpointError(
            f"{out}: the optimizer's state after the last epoch was not kept; begin another run with its weights: "
            f"train --init-from {out}"
        )


def prolong(out: Path, record: Record, epochs: int) -> str:
    """Makes a finished run one that goes on to so many epochs in all; says in one line how.

    What it had is kept beside it: `result-11-epochs.json`, and the metrics of a cycle that is over.
    """
    check_longer(out, record, epochs)
    recipe, before = record.recipe, record.epochs_before
    done, exact = before + recipe.epochs, recipe.open_ended
    total = epochs - (before if exact else done)
    longer = replace(record, recipe=replace(recipe, epochs=total), epochs_before=before if exact else done)
    _keep(out / RESULT, done)
    if not exact:
        for file in (out / METRICS, (out / METRICS).with_suffix(".csv")):
            _keep(file, done)
    write_json(out / CONFIG, asdict(longer))
    (out / WEIGHTS).replace(out / START)  # the last: while there are weights, a run is only measured
    if exact:
        return f"going on after {done} epochs, to {epochs}: the same as {epochs} at once"
    return (
        f"note: the rate of {recipe.schedule} and the sizes are laid out for {recipe.epochs} epochs: the {total} more "
        f"are a second cycle from the weights, not what {epochs} epochs at once give"
    )


def _keep(file: Path, epochs: int) -> None:
    if file.is_file():
        file.replace(file.with_name(f"{file.stem}-{epochs}-epochs{file.suffix}"))
