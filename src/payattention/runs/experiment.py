"""An experiment: train on one split, save, measure on the other once; all of it in one run folder.

While it runs, the folder also holds `start.safetensors`, the network as it began, and `snapshots/`: from these `resume`
goes on after whatever stopped it, and they go when the result is there; the state after the last epoch stays where
`extend` can go on from it.
"""

import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from payattention.data import ImageSet
from payattention.data.parts import check_enough_classes
from payattention.errors import DataError, UsageError
from payattention.evaluation import classify
from payattention.models import Classifier
from payattention.runs.config import Record, RunConfig
from payattention.runs.extension import finished, prolong
from payattention.runs.folder import START, check_new, kept_if_begun, lines_of, unfinished
from payattention.system.files import remove_halves, write_json
from payattention.system.machine import choice, choosing, chosen_device, recorded_precision, training_precision
from payattention.system.processes import here
from payattention.system.provenance import Stopwatch
from payattention.training.callbacks.snapshots import FOLDER, Snapshots
from payattention.training.callbacks.views import Views
from payattention.training.execution import Execution
from payattention.training.fit import METRICS, fit, new_model
from payattention.training.recipe import Recipe
from payattention.training.snapshot import written
from payattention.training.stopping import Stop, Stopped
from payattention.weights.checkpoint import load, save
from payattention.weights.header import CONFIG, RESULT, WEIGHTS
from payattention.weights.warm_start import taken_over


def train_and_test(
    config: RunConfig,
    train: ImageSet,
    test: ImageSet,
    out: Path,
    *,
    console: Console | None = None,
    watch: Stopwatch | None = None,
) -> tuple[Classifier, dict[str, Any]]:
    """Trains a network and writes `config.json`, `metrics.jsonl`, `metrics.csv`, `model.safetensors`, `result.json`.

    The error is measured once, after the last epoch; nothing is selected on the test split. A run that is stopped, or
    fails, after its first snapshot can be resumed; one that had none leaves nothing behind. Under torchrun or srun
    the processes train together, and the first one writes.

    Args:
        config: What to do.
        train: What to train on.
        test: What to measure on.
        out: The run folder.
        console: For progress.
        watch: Started earlier, it counts the time before, too.

    Returns:
        The trained model and the content of `result.json`.

    Raises:
        UsageError: An impossible combination, or a folder that holds a run; nothing was written.
        Stopped: Ctrl-C or SIGTERM; the message says how to go on.
        PayAttentionError: The loss is no longer finite, or the disk is full.
    """
    watch = watch or Stopwatch()
    check_new(out)
    config.check()
    network = _network(config, train)
    begun = None if config.source is None else _begun_from(network, config, console)
    record = _record(config, network, begun, train, test)
    with kept_if_begun(out, record, new=True):
        if here().first:
            save(network, out / START)
            write_json(out / CONFIG, asdict(record))
        return _finished(network, train, test, record, out, console, watch)


def _network(config: RunConfig, train: ImageSet) -> Classifier:
    """The fresh network, when it is sure that it can be trained on these pictures."""
    if len(train) < 2:
        raise UsageError(f"{train.name}: one image is too few to train on")
    check_enough_classes(train.classes, train.name)
    here().check_batch(min(config.recipe.batch_size, len(train)))
    network = new_model(config.model, train, config.recipe, width=config.width, seed=config.seed, **config.options)
    _check_smallest(network, config.recipe, train.image_size)
    return network


def _record(
    config: RunConfig, network: Classifier, begun: dict[str, Any] | None, train: ImageSet, test: ImageSet
) -> Record:
    return Record(
        model=asdict(network.config),
        init_from=begun,
        data=_described(train, test),
        reading=config.reading,
        recipe=config.recipe,
        seed=config.seed,
        device=chosen_device().type,
        precision=training_precision(),
        threads=torch.get_num_threads(),
        processes=here().count,
        save_every=config.save_every,
        compiled=config.compiled,
        convolutions=Execution(config.compiled, config.winograd).convolutions(network),
        tensorboard=config.tensorboard,
        sheet_every=config.sheet_every,
    )


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
    record = unfinished(out)
    _check_same(record.data, _described(train, test), out)
    with _as_begun(record, out), kept_if_begun(out, record):
        return _finished(load(out / START), train, test, record, out, console, watch or Stopwatch())


def extend(
    out: Path,
    train: ImageSet,
    test: ImageSet,
    epochs: int,
    *,
    console: Console | None = None,
    watch: Stopwatch | None = None,
) -> tuple[Classifier, dict[str, Any]]:
    """Gives a finished run more epochs, up to so many in all: exactly, or as a second cycle (`runs.extension`).

    Returns and raises what `resume` does, and:

    Raises:
        UsageError: It has as many already, or is not finished.
    """
    record = finished(out)
    _check_same(record.data, _described(train, test), out)
    how = prolong(out, record, epochs)
    if console is not None:
        console.print(how, highlight=False)
    return resume(out, train, test, console=console, watch=watch)


@contextmanager
def _as_begun(record: Record, out: Path) -> Iterator[None]:
    """What a run was begun on."""
    now = choice()
    device = record.device if now.device == "auto" else now.device
    precision = "auto" if record.precision is None else recorded_precision(record.precision)
    with ExitStack() as stack:
        try:
            stack.enter_context(choosing(device, precision, now.threads or record.threads))
        except UsageError as error:
            raise UsageError(f"{out} was begun on {device}, in {precision}: {error}") from None
        yield


def _finished(
    network: Classifier,
    train: ImageSet,
    test: ImageSet,
    record: Record,
    out: Path,
    console: Console | None,
    watch: Stopwatch,
) -> tuple[Classifier, dict[str, Any]]:
    """Does what remains to be done of a run: all of it, what follows its last snapshot, or only the measuring."""
    console = console if here().first else None
    if (out / WEIGHTS).is_file():
        network, curve = load(out), lines_of(out / METRICS)
    else:
        curve = _trained(network, train, test, record, out, console)
    with choosing("auto", "float32", None):  # whatever it was trained in: errors are compared
        test_error = classify(network, test, console=console)
    result = {
        **{name: value for name, value in asdict(record).items() if name != "reading"},  # paths of this machine
        "test": {"count": test_error.count, "error": test_error.error},
        "curve": curve,
        "provenance": asdict(watch.provenance(chosen_device(), record.seed)),
    }
    if here().first:
        write_json(out / RESULT, result)
        (out / START).unlink(missing_ok=True)
        _keep_last(out / FOLDER, record.recipe)
        remove_halves(out)
    return network, result


def _keep_last(folder: Path, recipe: Recipe) -> None:
    """Removes a finished run's snapshots, but for the last where more epochs may follow it."""
    if not recipe.open_ended:
        shutil.rmtree(folder, ignore_errors=True)
    for old in written(folder)[:-1]:
        old.unlink(missing_ok=True)


def _trained(
    network: Classifier,
    train: ImageSet,
    test: ImageSet,
    record: Record,
    out: Path,
    console: Console | None,
) -> list[dict[str, float]]:
    """Trains from the newest snapshot, or from the start, and saves the weights."""
    with Stop(patient=here().count > 1) as stop:
        snapshots = Snapshots(out, network, stop, record.save_every)
        if console is not None:
            for problem in snapshots.problems:
                console.print(f"note: {problem}; going on from the one before it")
            if snapshots.start.step:
                console.print(f"going on after step {snapshots.start.step:,}, in epoch {snapshots.start.epoch + 1}")
        curve = fit(
            network,
            train,
            record.recipe,
            out=out,
            seed=record.seed,
            snapshots=snapshots,
            views=Views(record.tensorboard, record.sheet_every, test, console),
            execution=Execution(record.compiled, record.convolutions == "winograd"),
        )
        if here().first:
            save(network, out)
        if stop.received:
            raise Stopped("stopped after the last step, the weights are saved", stop.received)
    return curve


def _begun_from(network: Classifier, config: RunConfig, console: Console | None) -> dict[str, Any]:
    """Takes over what fits of a saved model, and says what."""
    assert config.source is not None
    start = taken_over(network, config.source, str(config.init_from))
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
        "checksums": {train.split: train.checksum, test.split: test.checksum},
    }


def _check_same(then: Mapping[str, Any], now: Mapping[str, Any], out: Path) -> None:
    names = ("measured_on", "train", "test", "image_size", "labels_checksum")
    changed = [f"{name}: {then.get(name)} then, {now[name]} now" for name in names if then.get(name) != now[name]]
    if changed:
        raise DataError(f"{out}: the data is not what this run was begun on ({', '.join(changed)}); begin a new run")


def _check_smallest(model: Classifier, recipe: Recipe, image_size: int) -> None:
    smallest = round(min(recipe.sizes) * image_size)
    if smallest < model.min_size:
        shrunk = f", and the recipe shrinks them to {smallest} (its sizes)" if smallest < image_size else ""
        raise UsageError(
            f"the images are {image_size} pixels wide{shrunk}; {model.name} takes {model.min_size} at least: "
            "enlarge them with --image-size"
        )
