"""`payattention predict --calibrate`: pictures to calibrate on, and a run that keeps its temperature."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from payattention.errors import CheckpointError, DataError, UsageError

if TYPE_CHECKING:
    from payattention.cli.reading import Wanted
    from payattention.data import ImageSet
    from payattention.models import Classifier
    from payattention.weights.origin import Origin

HELD_OUT, OFF = "held-out", "off"
_NAME_OTHERS = "name pictures that it was not trained on: --calibrate folder:PATH"


def check_calibration(run: Path, data: str, data_root: Path | None) -> None:
    """Raises UsageError for what a run cannot be calibrated on, before anything is loaded."""
    if data == HELD_OUT:
        _wanted(run, data_root)
    elif data != OFF:
        _check_apart(run, data, data_root)


def calibrated(
    model: "Classifier", run: Path, data: str, data_root: Path | None, *, aside: bool
) -> dict[str, Any] | None:
    """Gives a model, and the file that it is saved in, the temperature that its probabilities need.

    The measurement is kept beside the weights, and printed; `aside` on standard error.

    Returns:
        The measurement as JSON; None where the temperature was taken away.
    """
    from payattention.cli.output import print_result, progress_console
    from payattention.evaluation.calibration import calibrate
    from payattention.system.files import write_json
    from payattention.weights.header import keep_temperature, weights_file

    file = weights_file(run)
    record = file.with_name("calibration.json" if run.is_dir() else f"{file.stem}.calibration.json")
    if data == OFF:
        model.temperature = 1.0
        keep_temperature(run, 1.0)
        record.unlink(missing_ok=True)
        return None
    images = _held_out(run, data_root) if data == HELD_OUT else _others(model, run, data, data_root)
    found = calibrate(model, images, console=progress_console())
    model.temperature = found.temperature
    keep_temperature(run, found.temperature)
    write_json(record, found.as_json())
    if aside:
        print(found, file=sys.stderr)
    else:
        print_result(found)
        print(f"kept: {file} (temperature {found.temperature}), {record}")
    return found.as_json()


def _held_out(run: Path, data_root: Path | None) -> "ImageSet":
    """What a run held out of its training, if that can still be told."""
    own, wanted = _wanted(run, data_root)
    images = wanted.read()[1]
    if changed := own.difference(images, wanted.classes, wanted.limit):
        raise DataError(
            f"{wanted.name} is not what {run} had ({changed}), so that pictures that it was trained on cannot be told "
            f"from others; {_NAME_OTHERS}"
        )
    return images


def _wanted(run: Path, data_root: Path | None) -> "tuple[Origin, Wanted]":
    """What a run was trained on, with what it held out."""
    from payattention.cli.reading import wanted_of
    from payattention.weights.header import CONFIG

    own = _origin(run)
    if own is None:
        raise UsageError(f"--calibrate {HELD_OUT}: {run} has no {CONFIG} that tells what was held out; {_NAME_OTHERS}")
    wanted = wanted_of(own.reading, run / CONFIG, data_root) if own.reading else None
    if wanted is None or wanted.hold_out is None:
        raise UsageError(
            f"--calibrate {HELD_OUT}: {run} was trained on all of its train split (train --hold-out 0.1 keeps pictures "
            f"back); {_NAME_OTHERS}"
        )
    return own, wanted


def _others(model: "Classifier", run: Path, data: str, data_root: Path | None) -> "ImageSet":
    """The train split of another set: a temperature is fitted, and test splits are there to measure on."""
    from payattention.cli.reading import Source, read_for

    images, own = read_for(model, Source(data, data_root), "train"), _origin(run)
    if own is not None and images.checksum in own.found.get("checksums", {}).values():
        raise UsageError(f"--calibrate {data}: these are the very pictures that {run} was trained or measured on")
    return images


def _check_apart(run: Path, data: str, data_root: Path | None) -> None:
    """Raises UsageError for what is no data set, or the one that a run was trained on."""
    from payattention.cli.reading import Wanted, check_data

    try:
        check_data(data, "train")
    except UsageError as error:
        raise UsageError(f"--calibrate {data}: {error}; or {HELD_OUT}: what the run held out") from None
    own = _origin(run)
    root = None if data_root is None else str(data_root)
    if own is not None and Wanted(data, root).anywhere()["name"] == own.name:
        raise UsageError(
            f"--calibrate {data}: {run} was trained on it, and its test split is there to measure on; take --calibrate "
            f"{HELD_OUT}, if the run held pictures out (train --hold-out 0.1), or other pictures"
        )


def _origin(run: Path) -> "Origin | None":
    """Where a run's data lay; None for a file that does not tell."""
    from payattention.weights.origin import origin

    try:
        return origin(run)
    except CheckpointError:
        return None
