"""Measures which maps find cats and dogs in photographs, for docs/pets.md.

The runs are those of caltech_probe.py: attention on a frozen ImageNet backbone, trained to tell Caltech-101's classes
apart, looks at the Oxford pets, which it has never seen, nor a mask of anything. For each run, `payattention segment`
on the whole pictures (thresholds chosen on 200 of the train split) and `payattention compare` on the squares that it
was trained on; what takes many forward passes a picture is measured on ten. A run's results take their place in
results/pets.json when they are there, beside those of the others: a quarter of an hour each on two cores, most of it
for Score-CAM (`--without score_cam`).

    python experiments/pets.py runs/caltech-{pc,additive,dp}-seed0
"""

import json
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

import payattention as pa
from payattention.cli.options import LimitOption
from payattention.cli.output import progress_console
from payattention.cli.program import run_script
from payattention.data import limited, masked_pictures
from payattention.evaluation import compare, segment
from payattention.posthoc import METHODS
from payattention.system.files import write_json
from payattention.system.names import check_known
from trained import RESULTS, ResultsOption, training_of

DATA, TUNE, COSTLY = "oxford_pets", 200, 10


def of_run(run: Path, methods: list[str] | None, limit: int | None, console: Console) -> dict[str, Any]:
    trained = training_of(run)
    model = pa.load(run).to(memory_format=torch.channels_last)  # nearly twice as fast on a CPU for such backbones
    test, train = masked_pictures(DATA, "test"), masked_pictures(DATA, "train").limited(TUNE)
    squares = pa.load_data(DATA, "test", image_size=model.image_size, crop_mode=model.crop_mode)
    if limit is not None:
        test, squares = test.limited(limit), limited(squares, limit)
    return {
        "model": trained["model"],
        "trained_on": trained["data"]["name"],
        "error": trained["test"]["error"],
        "source": squares.source,
        "segmentation": segment(model, test, tune_on=train, console=console).as_json(),
        "comparison": compare(model, squares, methods=methods, costly=COSTLY, console=console).as_json(),
    }


def main(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Run folders.", show_default=False)],
    without: Annotated[
        list[str] | None, typer.Option(metavar="METHOD", help="A method to leave out; may be repeated.")
    ] = None,
    limit: LimitOption = None,
    results: ResultsOption = RESULTS,
) -> None:
    check_known("method", METHODS, *(without or ()))
    for run in runs:
        training_of(run)  # before the first is measured, for minutes
    methods = [name for name in METHODS if name not in without] if without else None
    out = results / "pets.json"
    for run in runs:
        result = of_run(run, methods, limit, progress_console())
        others = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
        write_json(out, {**others, run.name: result})


if __name__ == "__main__":
    run_script(main)
