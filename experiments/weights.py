"""Gives a run's weights a place in the repository, and measures what float16 costs them, for weights/README.md.

Writes weights/NAME.safetensors, in float16, and weights/NAME.json: how the run was trained, its test error, and that of
the weights as they lie there, loaded again and measured on the same pictures. The data is the run's own, found as it
was then or in PAYATTENTION_DATA.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer

import payattention as pa
from payattention.cli.program import run_script
from payattention.errors import CheckpointError
from payattention.evaluation import classify
from payattention.system.files import write_json
from trained import ROOT, RunFolder, training_of


def main(
    run: RunFolder,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the two files are called.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder to write to.", show_default="weights")] = ROOT / "weights",
) -> None:
    trained = training_of(run)
    if trained["data"]["measured_on"] != "test":
        raise CheckpointError(f"{run} was measured on {trained['data']['measured_on']}: train it without --hold-out")
    model = pa.load(run)
    test = pa.load_data(trained["data"]["name"], "test", image_size=model.image_size, crop_mode=model.crop_mode)
    file = pa.save(model, out / f"{name}.safetensors", dtype=torch.float16)
    measured = classify(pa.load(file), test, trained["seed"]).as_json()
    facts = {key: trained[key] for key in ("model", "data", "recipe", "seed", "test", "provenance")}
    write_json(out / f"{name}.json", {"trained": facts, "in_float16": measured})


if __name__ == "__main__":
    run_script(main)
