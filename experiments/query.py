"""Does the query matter? `pc`, `dp` and `additive` trained alike on the embedded data: `python experiments/query.py`.

Writes results/query.json: for each compatibility function the test error, where the maps' peaks fall, and how far the
maps move when another image of another class asks (mean total-variation distance). Each network takes a few minutes
on two CPU cores.
"""

import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch

from payattention.data import load_data
from payattention.evaluation import pointing
from payattention.evaluation.query import query_effect
from payattention.runs.config import RunConfig
from payattention.runs.experiment import train_and_test
from payattention.system.files import write_json
from payattention.system.provenance import Stopwatch
from payattention.training.recipe import load_recipe

RESULT = Path(__file__).parent.parent / "results" / "query.json"
MODEL, WIDTH, RECIPE, SEED = "vgg_att2_concat_pc", 0.125, "quickstart", 0


def main() -> None:
    train, test = load_data("cluttered_digits", "train"), load_data("cluttered_digits", "test")
    watch, rows = Stopwatch(), {}
    for compatibility in ("pc", "dp", "additive"):
        with tempfile.TemporaryDirectory() as folder:
            options = {"compatibility": compatibility}
            recipe = load_recipe(RECIPE)
            model, result = train_and_test(
                RunConfig(MODEL, recipe, width=WIDTH, options=options, seed=SEED), train, test, Path(folder)
            )
        effect = query_effect(model, test, SEED)
        rows[compatibility] = {
            "error": result["test"]["error"],
            "pointing": pointing(model, test, seed=SEED).hits,
            "distance_under_a_foreign_query": effect.distance,
            "predictions_changed": effect.changed,
        }
        print(compatibility, rows[compatibility], file=sys.stderr)
    provenance = {**asdict(watch.provenance(torch.device("cpu"), SEED)), "command": "python experiments/query.py"}
    settings = {"model": MODEL, "width": WIDTH, "recipe": RECIPE, "data": "cluttered_digits"}
    write_json(RESULT, {**settings, "compatibilities": rows, "provenance": provenance})


if __name__ == "__main__":
    main()
