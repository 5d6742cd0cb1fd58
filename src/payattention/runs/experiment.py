"""An experiment: train on one split, save, measure on the other once; all of it in one run folder.

While it runs, the folder also holds `start.safetensors`, the network as it began, and `snapshots/`: from these `resume`
goes on after whatever stopped it, and they go when the result is there.
"""

import json
import shlex
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors import SafetensorError

from payattention.data import ImageSet
from payattention.errors import CheckpointError, DataError, PayAttentionError, UsageError
from payattention.evaluation import classify
from payattention.models import Classifier
from payattention.system.files import remove_halves, write_json
from payattention.system.invocation import program
from payattention.system.machine import choice, choosing, chosen_device, recorded_precision, training_precision
from payattention.system.processes import Processes, here
from payattention.system.provenance import Stopwatch
from payattention.training.callbacks.snapshots import EVERY, FOLDER, Snapshots
from payattention.training.callbacks.views import Views
from payattention.training.fit import METRICS, check_compiled, convolutions_of, fit, new_model
from payattention.training.recipe import Recipe
from payattention.training.snapshot import SnapshotError, written
from payattention.training.stopping import Stop, Stopped
from payattention.weights.checkpoint import load, save
from payattention.weights.header import CONFIG, WEIGHTS
from payattention.weights.warm_start import warm_start

START, RESULT = "start.safetensors", "result.json"


def train_and_test(
    model: str,
    train: ImageSet,
    test: ImageSet,
    recipe: Recipe,
    out: Path,
    *,
    width: float = 1.0,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    console: Console | None = None,
    watch: Stopwatch | None = None,
    reading: Mapping[str, Any] | None = None,
    save_every: int = EVERY,
    compiled: bool = False,
    winograd: bool = True,
    init_from: Path | None = None,
    tensorboard: bool = False,
    sheet_every: int = 0,
) -> tuple[Classifier, dict[str, Any]]:
    """Trains a network and writes `config.json`, `metrics.jsonl`, `metrics.csv`, `model.safetensors`, `result.json`.

    The error is measured once, after the last epoch; nothing is selected on the test split. A run that is stopped, or
    fails, after its first snapshot can be resumed; one that had none leaves nothing behind. Under torchrun or srun
    the processes train together, and the first one writes.

    Args:
        model: A network's name.
        train: What to train on.
        test: What to measure on.
        recipe: How to train.
        out: The run folder.
        width: Of the network.
        options: Of the network.
        seed: Of weights, order, augmentation and dropout.
        console: For progress.
        watch: Started earlier, it counts the time before, too.
        reading: How to read the two sets again; kept in `config.json` for whoever resumes the run.
        save_every: Steps between two snapshots within an epoch.
        compiled: Whether to compile the network for training.
        winograd: Whether Winograd's algorithm may do the convolutions where it is faster: CPU, float32, not compiled.
        init_from: A saved model whose weights it begins with, where they fit (`payattention.warm_start`).
        tensorboard: Whether to write for TensorBoard.
        sheet_every: Epochs from one sheet of attention maps to the next, of the same few pictures of the test split,
            which are only looked at; 0 makes none.

    Returns:
        The trained model and the content of `result.json`.

    Raises:
        UsageError: An impossible combination, or a folder that holds a run; nothing was written.
        Stopped: Ctrl-C or SIGTERM; the message says how to go on.
        PayAttentionError: The loss is no longer finite, or the disk is full.
    """
    watch = watch or Stopwatch()
    if here().first and any((out / name).exists() for name in (CONFIG, FOLDER, WEIGHTS, RESULT)):
        raise UsageError(f"{out}: there is a run already; resume it, or take another folder")
    if len(train) < 2:
        raise UsageError(f"{train.name}: one image is too few to train on")
    here().check_batch(min(recipe.batch_size, len(train)))
    check_compiled(compiled)
    network = new_model(model, train, recipe, width=width, seed=seed, **(options or {}))
    _check_smallest(network, recipe, train.image_size)
    if sheet_every:
        network.check_has_maps()
    config = {
        "model": asdict(network.config),
        "init_from": None if init_from is None else _begun_from(network, init_from, console),
        "data": _described(train, test),
        "reading": reading,
        "recipe": recipe.to_dict(),
        "seed": seed,
        "device": chosen_device().type,
        "precision": training_precision(),
        "threads": torch.get_num_threads(),
        "processes": here().count,
        "save_every": save_every,
        "compiled": compiled,
        "convolutions": convolutions_of(network, winograd=winograd, compiled=compiled),
        "tensorboard": tensorboard,
        "sheet_every": sheet_every,
    }
    with _kept_if_begun(out, config, new=True):
        if here().first:
            save(network, out / START)
            write_json(out / CONFIG, config)
        return _finished(network, train, test, config, out, console, watch)


def resume(
    out: Path, train: ImageSet, test: ImageSet, *, console: Console | None = None, watch: Stopwatch | None = None
) -> tuple[Classifier, dict[str, Any]]:
    """Goes on with a run that was stopped, to the same end: on a CPU bit by bit, with as many processes.

    It computes on the device, in the precision and on as many threads as before, but for a device or threads that
    are chosen now (`payattention.computing`).

    Returns and raises what `train_and_test` does, and:

    Raises:
        CheckpointError: No run there, or none of its snapshots is whole.
        DataError: The sets are not those that the run was begun on.
        UsageError: The run is finished.
    """
    config = unfinished(out)
    _check_same(config["data"], _described(train, test), out)
    with _as_begun(config, out), _kept_if_begun(out, config):
        return _finished(load(out / START), train, test, config, out, console, watch or Stopwatch())


def unfinished(out: Path) -> dict[str, Any]:
    """The configuration of a run that can be resumed.

    Raises:
        CheckpointError: No run, or one that lacks what resuming needs.
        UsageError: The run is finished.
    """
    if (out / RESULT).is_file():
        raise UsageError(f"{out}: this run is finished; measure it with `{program()} evaluate {shlex.quote(str(out))}`")
    if not (out / CONFIG).is_file():
        raise CheckpointError(f"{out}: no run to resume there (no {CONFIG}); begin it with `{program()} train`")
    try:
        config: dict[str, Any] = json.loads((out / CONFIG).read_text(encoding="utf-8"))
    except ValueError:
        config = {}
    if not config or not isinstance(config, dict):
        raise CheckpointError(f"{out / CONFIG}: damaged; begin a new run")
    lacking = [name for name in ("data", "recipe", "seed", "save_every", "compiled") if name not in config]
    if lacking or not (out / START).is_file():
        raise CheckpointError(f"{out}: this run cannot be resumed (no {', '.join(lacking) or START}); begin a new one")
    try:
        Recipe(**config["recipe"])
    except (TypeError, UsageError) as error:
        raise CheckpointError(f"{out / CONFIG}: not a recipe of this version ({error}); begin a new run") from None
    return config


@contextmanager
def _as_begun(config: Mapping[str, Any], out: Path) -> Iterator[None]:
    """What a run was begun on; early runs do not say all of it."""
    now = choice()
    device = config.get("device", "auto") if now.device == "auto" else now.device
    precision = recorded_precision(config["precision"]) if "precision" in config else "auto"
    with ExitStack() as stack:
        try:
            stack.enter_context(choosing(device, precision, now.threads or config.get("threads")))
        except UsageError as error:
            raise UsageError(f"{out} was begun on {device}, in {precision}: {error}") from None
        yield


def _finished(
    network: Classifier,
    train: ImageSet,
    test: ImageSet,
    config: Mapping[str, Any],
    out: Path,
    console: Console | None,
    watch: Stopwatch,
) -> tuple[Classifier, dict[str, Any]]:
    """Does what remains to be done of a run: all of it, what follows its last snapshot, or only the measuring."""
    console = console if here().first else None
    if (out / WEIGHTS).is_file():
        network, curve = load(out), _lines(out / METRICS)
    else:
        curve = _trained(network, train, test, config, out, console)
    with choosing("auto", "float32", None):  # whatever it was trained in: errors are compared
        test_error = classify(network, test, console=console)
    result = {
        **{name: value for name, value in config.items() if name != "reading"},  # paths of this machine
        "test": {"count": test_error.count, "error": test_error.error},
        "curve": curve,
        "provenance": asdict(watch.provenance(chosen_device(), config["seed"])),
    }
    if here().first:
        write_json(out / RESULT, result)
        (out / START).unlink(missing_ok=True)
        shutil.rmtree(out / FOLDER, ignore_errors=True)
        remove_halves(out)
    return network, result


def _trained(
    network: Classifier,
    train: ImageSet,
    test: ImageSet,
    config: Mapping[str, Any],
    out: Path,
    console: Console | None,
) -> list[dict[str, float]]:
    """Trains from the newest snapshot, or from the start, and saves the weights."""
    recipe = Recipe(**config["recipe"])
    with Stop(patient=here().count > 1) as stop:
        snapshots = Snapshots(out, network, stop, config["save_every"])
        if console is not None:
            for problem in snapshots.problems:
                console.print(f"note: {problem}; going on from the one before it")
            if snapshots.start.step:
                console.print(f"going on after step {snapshots.start.step:,}, in epoch {snapshots.start.epoch + 1}")
        curve = fit(
            network,
            train,
            recipe,
            out=out,
            seed=config["seed"],
            console=console,
            snapshots=snapshots,
            compiled=config["compiled"],
            winograd=config.get("convolutions") == "winograd",  # runs from before there was a choice did without
            views=Views(config.get("tensorboard", False), config.get("sheet_every", 0), test),
        )
        if here().first:
            save(network, out)
        if stop.received:
            raise Stopped("stopped after the last step, the weights are saved", stop.received)
    return curve


def _begun_from(network: Classifier, source: Path, console: Console | None) -> dict[str, Any]:
    """Takes over what fits of a saved model, and says what."""
    start = warm_start(network, source)
    if console is not None:
        console.print(str(start), highlight=False)
    return asdict(start)


def _described(train: ImageSet, test: ImageSet) -> dict[str, Any]:
    """What config.json says of the data, by which a resumed run knows it again."""
    return {
        "name": train.name,
        "source": train.source,
        "left_out": len(train.skipped) + len(test.skipped),
        "measured_on": test.split,
        "train": len(train),
        "test": len(test),
        "image_size": train.image_size,
        "crop_mode": train.crop_mode,
        "labels_checksum": zlib.crc32(test.labels.tobytes(), zlib.crc32(train.labels.tobytes())),
    }


def _check_same(then: Mapping[str, Any], now: Mapping[str, Any], out: Path) -> None:
    names = ("measured_on", "train", "test", "image_size", "labels_checksum")
    changed = [f"{name}: {then.get(name)} then, {now[name]} now" for name in names if then.get(name) != now[name]]
    if changed:
        raise DataError(f"{out}: the data is not what this run was begun on ({', '.join(changed)}); begin a new run")


def _lines(file: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _check_smallest(model: Classifier, recipe: Recipe, image_size: int) -> None:
    smallest = round(min(recipe.sizes) * image_size)
    if smallest < model.min_size:
        shrunk = f", and the recipe shrinks them to {smallest} (its sizes)" if smallest < image_size else ""
        raise UsageError(
            f"the images are {image_size} pixels wide{shrunk}; {model.name} takes {model.min_size} at least: "
            "enlarge them with --image-size"
        )


@contextmanager
def _kept_if_begun(out: Path, config: Mapping[str, Any], *, new: bool = False) -> Iterator[None]:
    """Says how to go on with a run that failed or was stopped; a new one that has saved nothing leaves nothing."""
    before = [*out.iterdir()] if out.is_dir() else None
    try:
        yield
    except BaseException as error:
        saved = [*written(out / FOLDER), *out.glob(WEIGHTS)]
        if saved or not new:
            raise _advised(error, _to_go_on(out, config), saved) from None
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


def _to_go_on(out: Path, config: Mapping[str, Any]) -> str:
    """The command that resumes a run."""
    if config["reading"] is None:
        return f"payattention.runs.experiment.resume(Path({str(out)!r}), train, test)"
    resuming = f"train --resume {shlex.quote(str(out))}"
    match here():
        case Processes(launcher="torchrun", nodes=1, count=count) if count > 1:
            return f"torchrun --nproc-per-node {count} -m payattention {resuming}"
        case Processes(count=count) if count > 1:
            return f"{resuming}, started as before"
    return f"{program()} {resuming}"
