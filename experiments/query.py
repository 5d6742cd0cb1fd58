"""Measures whether the query matters, for docs/the-query.md: `pc`, `dp` and `additive` trained alike.

Writes results/query.json: for each compatibility function, trained on the embedded data, the test error, where the
maps' peaks fall, and how far the maps move when another image of another class asks (mean total-variation distance).
Each network takes a few minutes on two CPU cores.
"""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

import payattention as pa
from payattention.cli.options import LimitOption
from payattention.cli.program import run_script
from payattention.data import limited, load_data
from payattention.evaluation import pointing
from payattention.evaluation.query import query_effect
from payattention.runs.config import RunConfig
from payattention.runs.experiment import train_and_test
from payattention.system.files import write_json
from payattention.system.provenance import Stopwatch
from payattention.training.recipe import load_recipe
from trained import RESULTS, ResultsOption

MODEL, WIDTH, RECIPE, SEED = "vgg_att2_concat_pc", 0.125, "quickstart", 0


def measured(compatibility: str, epochs: int, train: pa.ImageSet, test: pa.ImageSet) -> dict[str, Any]:
    """A network with this compatibility function, trained and measured."""
    recipe, options = load_recipe(RECIPE, {"epochs": epochs}), {"compatibility": compatibility}
    config = RunConfig(MODEL, recipe, width=WIDTH, options=options, seed=SEED)
    with tempfile.TemporaryDirectory() as folder:
        model, result = train_and_test(config, train, test, Path(folder))
    effect = query_effect(model, test, SEED)
    return {
        "error": result["test"]["error"],
        "pointing": pointing(model, test, seed=SEED).hits,
        "distance_under_a_foreign_query": effect.distance,
        "predictions_changed": effect.changed,
    }


def main(
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the data.")] = load_recipe(RECIPE).epochs,
    limit: LimitOption = None,
    results: ResultsOption = RESULTS,
) -> None:
    splits = [load_data("cluttered_digits", split) for split in ("train", "test")]
    train, test = splits if limit is None else [limited(split, limit) for split in splits]
    watch, rows = Stopwatch(), {}
    for compatibility in ("pc", "dp", "additive"):
        rows[compatibility] = measured(compatibility, epochs, train, test)
        typer.echo(f"{compatibility} {rows[compatibility]}", err=True)
    provenance = asdict(watch.provenance(torch.device("cpu"), SEED))
    settings = {"model": MODEL, "width": WIDTH, "recipe": RECIPE, "data": "cluttered_digits"}
    write_json(results / "query.json", {**settings, "compatibilities": rows, "provenance": provenance})


if __name__ == "__main__":
    run_script(main)
