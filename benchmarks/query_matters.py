"""How much the query matters: `python benchmarks/query_matters.py` writes results/query_matters.json.

Trains one small network for each compatibility function, with the settings of `payattention quickstart`, and measures
on the test split: error, pointing, and how far each image's maps move when another image asks. That distance is the
total variation, half of sum_i |a_i - a'_i|: 0 for equal maps, 1 for maps that share no position.
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from payattention.cli.quickstart import MODEL, RECIPE, WIDTH
from payattention.data import ImageSet, load_data
from payattention.evaluation import pointing
from payattention.evaluation.batches import images_of
from payattention.files import write_json
from payattention.models import Classifier
from payattention.run import run
from payattention.training.recipe import load_recipe

RESULT = Path(__file__).parent.parent / "results" / "query_matters.json"
COMPATIBILITIES = ("pc", "dp", "additive")
SEEDS = (0,)


@torch.inference_mode()
def moved(model: Classifier, data: ImageSet, batch_size: int = 250) -> dict[str, float]:
    """By level, the mean total variation between an image's map and the one that the next image's query gives."""
    device = next(model.parameters()).device
    sums = dict.fromkeys(model.levels, 0.0)
    for start in range(0, len(data), batch_size):
        images = images_of(data, slice(start, start + batch_size), device)
        own = model.attend(images)
        foreign = model.attend(images, query=own.query.roll(1, 0))
        for level in model.levels:
            sums[level] += 0.5 * (own.maps[level] - foreign.maps[level]).abs().sum().item()
    return {level: round(total / len(data), 5) for level, total in sums.items()}


def measured(compatibility: str, seed: int, train: ImageSet, test: ImageSet, overrides: Mapping[str, Any]) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        options = {"compatibility": compatibility}
        recipe = load_recipe(RECIPE, overrides)
        model, result = run(MODEL, train, test, recipe, Path(folder) / "run", width=WIDTH, options=options, seed=seed)
    return {
        "compatibility": compatibility,
        "seed": seed,
        "error": result["test"]["error"],
        "pointing": dict(pointing(model, test).hits),
        "moved": moved(model, test),
        "provenance": {**result["provenance"], "command": "python benchmarks/query_matters.py"},
    }


def main() -> None:
    train, test = load_data("cluttered_digits", "train"), load_data("cluttered_digits", "test")
    overrides = {"epochs": int(sys.argv[1])} if sys.argv[1:] else {}
    rows = []
    for compatibility in COMPATIBILITIES:
        for seed in SEEDS:
            rows.append(measured(compatibility, seed, train, test, overrides))
            print(rows[-1]["compatibility"], rows[-1]["error"], rows[-1]["pointing"], rows[-1]["moved"], flush=True)
    write_json(RESULT, {"model": MODEL, "width": WIDTH, "recipe": RECIPE, "data": "cluttered_digits", "rows": rows})


if __name__ == "__main__":
    main()
