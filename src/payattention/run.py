"""A run: train on one split, save, measure on the other once; all of it in one folder."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from payattention.checkpoint import save
from payattention.data import ImageSet
from payattention.errors import CheckpointError
from payattention.evaluation import classify
from payattention.evaluation.provenance import Stopwatch
from payattention.files import write_json
from payattention.machine import best_device, best_precision
from payattention.models import Classifier
from payattention.training.fit import fit, new_model
from payattention.training.recipe import Recipe

CONFIG, RESULT, METRICS = "config.json", "result.json", "metrics.jsonl"


def run(
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
    counts the time before, too.

    Returns:
        The trained model and the content of `result.json`.
    """
    watch, device = watch or Stopwatch(), best_device()
    network = new_model(model, train, recipe, width=width, seed=seed, **(options or {}))
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
    name: str = json.loads(config.read_text(encoding="utf-8"))["data"]["name"]
    return name
