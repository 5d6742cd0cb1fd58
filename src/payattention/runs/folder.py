"""A run folder: what it holds, whether it can be gone on with, and what becomes of it when a run ends early."""

import json
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from payattention.errors import CheckpointError, DataError, PayAttentionError, UsageError
from payattention.runs.config import Record
from payattention.system.invocation import program
from payattention.system.processes import Processes, here
from payattention.training.callbacks.snapshots import FOLDER
from payattention.training.fit import FEATURES
from payattention.training.recipe import Recipe
from payattention.training.snapshot import SnapshotError, written
from payattention.training.stopping import Stopped
from payattention.weights.header import CONFIG, RESULT, WEIGHTS

START = "start.safetensors"


def check_new(out: Path) -> None:
    """Raises UsageError for a folder that holds a run already."""
    if here().first and any((out / name).exists() for name in (CONFIG, FOLDER, WEIGHTS, RESULT)):
        raise UsageError(f"{out}: there is a run already; resume it, or take another folder")


def unfinished(out: Path) -> Record:
    """The record of a run that can be resumed.

    Raises:
        CheckpointError: No run, or one that lacks what resuming needs.
        UsageError: The run is finished.
    """
    if (out / RESULT).is_file():
        raise UsageError(
            f"{out}: this run is finished; measure it with `{program()} evaluate {shlex.quote(str(out))}`, or say how "
            "many --epochs it shall have in all"
        )
    record = recorded(out)
    if not (out / START).is_file():
        raise CheckpointError(f"{out}: this run cannot be resumed (no {START}); begin a new one")
    return record


def recorded(out: Path) -> Record:
    """The record of a run.

    Raises:
        CheckpointError: No run, or a record that lacks what training on needs.
    """
    if not (out / CONFIG).is_file():
        raise CheckpointError(f"{out}: no run to resume there (no {CONFIG}); begin it with `{program()} train`")
    try:
        config = json.loads((out / CONFIG).read_text(encoding="utf-8"))
    except ValueError:
        config = {}
    if not config or not isinstance(config, dict):
        raise CheckpointError(f"{out / CONFIG}: damaged; begin a new run")
    needed = [own.name for own in fields(Record) if own.default is MISSING and own.default_factory is MISSING]
    if lacking := [name for name in needed if name not in config]:
        raise CheckpointError(f"{out}: this run cannot be resumed (no {', '.join(lacking)}); begin a new one")
    return _record_of(config, out / CONFIG)


def _record_of(config: dict[str, Any], file: Path) -> Record:
    known = {own.name: config[own.name] for own in fields(Record) if own.name in config}
    try:
        recipe = Recipe(**known["recipe"])
    except (TypeError, UsageError) as error:
        raise CheckpointError(f"{file}: not a recipe of this version ({error}); begin a new run") from None
    try:
        return Record(**known | {"recipe": recipe})
    except UsageError as error:
        raise CheckpointError(f"{file}: damaged ({error}); begin a new run") from None


@contextmanager
def kept_if_begun(out: Path, record: Record, *, new: bool = False) -> Iterator[None]:
    """Says how to go on with a run that failed or was stopped; a new one that has saved nothing leaves nothing."""
    before = [*out.iterdir()] if out.is_dir() else None
    try:
        yield
    except BaseException as error:
        saved = [*sorted(out.glob(f"{FEATURES}/*/*.bin")), *written(out / FOLDER), *out.glob(WEIGHTS)]
        if saved or not new:
            raise _advised(error, _to_go_on(out, record), saved) from None
        if here().first:
            _as_before(out, before)
        if isinstance(error, SafetensorError):
            raise PayAttentionError(f"{out}: could not be written ({error})") from None
        raise


def _as_before(out: Path, before: Sequence[Path] | None) -> None:
    """Removes what a run has written; `before` is what its folder held, None where there was no folder."""
    if before is None:
        shutil.rmtree(out, ignore_errors=True)
        return
    for new in {*out.iterdir()} - {*before}:
        if new.is_dir():
            shutil.rmtree(new, ignore_errors=True)
        else:
            new.unlink(missing_ok=True)


def _advised(error: BaseException, go_on: str, saved: Sequence[Path]) -> BaseException:
    """An error, and what can be done after it."""
    last = f"; the last that was saved is {saved[-1]}" if saved else ""
    match error:
        case Stopped():
            return Stopped(f"{error}; go on with: {go_on}", error.signal_number)
        case KeyboardInterrupt():
            return Stopped(f"stopped at once{last}; go on with: {go_on}")
        case OSError() | SafetensorError() | SnapshotError():
            return PayAttentionError(f"{error}{last}; when that is mended, go on with: {go_on}")
        case UsageError() | DataError() | CheckpointError():
            return error
        case PayAttentionError():  # the loss or the weights are not finite
            return PayAttentionError(f"{error}{last}")
    return error


def _to_go_on(out: Path, record: Record) -> str:
    """The command that resumes a run."""
    if record.reading is None:
        return f"payattention.runs.experiment.resume(Path({str(out)!r}), train, test)"
    resuming = f"train --resume {shlex.quote(str(out))}"
    match here():
        case Processes(launcher="torchrun", nodes=1, count=count) if count > 1:
            return f"torchrun --nproc-per-node {count} -m payattention {resuming}"
        case Processes(count=count) if count > 1:
            return f"{resuming}, started as before"
    return f"{program()} {resuming}"


def lines_of(file: Path) -> list[dict[str, float]]:
    """The lines of a file of metrics."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
