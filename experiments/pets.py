"""Which maps find cats and dogs in photographs? `python experiments/pets.py [--without METHOD] RUN...`

The runs are those of caltech_probe.py.

Attention on a frozen ImageNet backbone, trained to tell Caltech-101's classes apart, looks at the Oxford pets, which it
has never seen, nor a mask of anything. For each run, `payattention segment` on the whole pictures (thresholds chosen on
200 of the train split) and `payattention compare` on the squares that it was trained on; what takes many forward passes
a picture is measured on ten. A run's results take their place in results/pets.json when they are there, beside those of
the others: a quarter of an hour each on two cores, most of it for Score-CAM (`--without score_cam`).

    python experiments/pets.py runs/caltech-{pc,additive,dp}-seed0
"""

import argparse
import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

import payattention as pa
from payattention.data import masked_pictures
from payattention.evaluation import compare, segment
from payattention.posthoc import METHODS
from payattention.runs.folder import RESULT
from payattention.system.files import write_json
from payattention.system.invocation import command_line

OUT = Path(__file__).parent.parent / "results" / "pets.json"
DATA, TUNE, COSTLY = "oxford_pets", 200, 10


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folder of a trained model")
    arguments.add_argument("--without", choices=METHODS, action="append", default=[], help="a method to leave out")
    given = arguments.parse_args()
    command_line.set(shlex.join(["python", "experiments/pets.py", *sys.argv[1:]]))
    methods = [name for name in METHODS if name not in given.without] if given.without else None
    for run in given.runs:
        result = of_run(run, methods, Console(stderr=True))
        others = json.loads(OUT.read_text(encoding="utf-8")) if OUT.is_file() else {}
        write_json(OUT, {**others, run.name: result})


def of_run(run: Path, methods: list[str] | None, console: Console) -> dict[str, Any]:
    model = pa.load(run).to(memory_format=torch.channels_last)  # nearly twice as fast on a CPU for such backbones
    trained = json.loads((run / RESULT).read_text(encoding="utf-8"))
    test, train = masked_pictures(DATA, "test"), masked_pictures(DATA, "train").limited(TUNE)
    squares = pa.load_data(DATA, "test", image_size=model.image_size, crop_mode=model.crop_mode)
    return {
        "model": trained["model"],
        "trained_on": trained["data"]["name"],
        "error": trained["test"]["error"],
        "source": squares.source,
        "segmentation": asdict(segment(model, test, tune_on=train, console=console)),
        "comparison": asdict(compare(model, squares, methods=methods, costly=COSTLY, console=console)),
    }


if __name__ == "__main__":
    main()
