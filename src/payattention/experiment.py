"""An experiment: train on one split, save, measure on the other once; all of it in one run folder."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from payattention.checkpoint import WEIGHTS, save
from payattention.data import ImageSet
from payattention.errors import CheckpointError, UsageError
from payattention.evaluation import classify
from payattention.evaluation.provenance import Stopwatch
from payattention.files import write_json
from payattention.machine import best_device, best_precision
from payattention.models import Classifier
from payattention.training.fit import fit, new_model
from payattention.training.recipe import Recipe

CONFIG, RESULT = "config.json", "result.json"


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
) -> tuple[Classifier, dict[str, Any]]:
    """Trains a fresh network and writes `config.json`, `metrics.jsonl`, `model.safetensors` and `result.json`.

    The test split is read once, after the last epoch; nothing is selected on it. A `watch` that was started earlier
    counts the time before, too. A run that fails or is stopped leaves no folder behind.

    Returns:
        The trained model and the content of `result.json`.

    Raises:
        UsageError: An impossible combination; nothing was written.
        PayAttentionError: The loss is no longer finite.
    """
    watch, device = watch or Stopwatch(), best_device()
    if len(train) < 2:
        raise UsageError(f"{train.name}: one image is too few to train on")
    network = new_model(model, train, recipe, width=width, seed=seed, **(options or {}))
    _check_smallest(network, recipe, train.image_size)
    config = {
        "model": asdict(network.config),
        "data": {
            "name": train.name,
            "source": train.source,
            "left_out": len(train.skipped) + len(test.skipped),
            "measured_on": test.split,
            "train": len(train),
            "test": len(test),
            "image_size": train.image_size,
        },
        "recipe": recipe.to_dict(),
        "seed": seed,
        "precision": best_precision(device),
    }
    with _whole(out):
        write_json(out / CONFIG, config)
        curve = fit(network, train, recipe, out=out, seed=seed, console=console)
        save(network, out)
    test_error = classify(network, test)
    result = {
        **config,
        "test": {"count": test_error.count, "error": test_error.error},
        "curve": curve,
        "provenance": asdict(watch.provenance(device, seed)),
    }
    write_json(out / RESULT, result)
    return network, result


def trained_on(folder: Path) -> str:
    """The name of the data set that a run folder was trained on."""
    config = (folder if folder.is_dir() else folder.parent) / CONFIG
    if not config.is_file():
        raise CheckpointError(f"{folder}: no {CONFIG} there that tells its data set; name one with --data")
    try:
        name: str = json.loads(config.read_text(encoding="utf-8"))["data"]["name"]
    except (ValueError, KeyError, TypeError):
        raise CheckpointError(f"{config}: does not tell the run's data set; name one with --data") from None
    return name


def _check_smallest(model: Classifier, recipe: Recipe, image_size: int) -> None:
    smallest = round(min(recipe.sizes) * image_size)
    if smallest < model.min_size:
        shrunk = f", and the recipe shrinks them to {smallest} (its sizes)" if smallest < image_size else ""
        raise UsageError(
            f"the images are {image_size} pixels wide{shrunk}; {model.name} takes {model.min_size} at least: "
            "enlarge them with --image-size"
        )


@contextmanager
def _whole(out: Path) -> Iterator[None]:
    """Removes a run folder, if it was made here, unless its weights were written."""
    existed = out.exists()
    try:
        yield
    finally:
        if not existed and not (out / WEIGHTS).is_file():
            shutil.rmtree(out, ignore_errors=True)
