"""Which maps find cats and dogs in photographs? `python benchmarks/pets.py RUN...` on those of caltech_probe.py.

Attention on a frozen ImageNet backbone, trained to tell Caltech-101's classes apart, looks at the Oxford pets, which it
has never seen, nor a mask of anything. For each run, `payattention segment` on the whole pictures (thresholds chosen on
200 of the train split) and `payattention compare` on the squares that it was trained on; what takes many forward passes
a picture is measured on ten. A run's results take their place in results/pets.json when they are there, beside those of
the others: a quarter of an hour each on two cores.

    python benchmarks/pets.py runs/caltech-{pc,additive,dp}-seed0
"""

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

import payattention as pa
from payattention.data import masked_pictures
from payattention.evaluation import compare, segment
from payattention.experiment import RESULT
from payattention.files import write_json
from payattention.invocation import command_line

OUT = Path(__file__).parent.parent / "results" / "pets.json"
DATA, TUNE, COSTLY = "oxford_pets", 200, 10


def main(runs: list[Path]) -> None:
    command_line.set(shlex.join(["python", "benchmarks/pets.py", *map(str, runs)]))
    measured: dict[str, Any] = json.loads(OUT.read_text(encoding="utf-8")) if OUT.is_file() else {}
    for run in runs:
        measured[run.name] = of_run(run, Console(stderr=True))
        write_json(OUT, measured)


def of_run(run: Path, console: Console) -> dict[str, Any]:
    model, trained = pa.load(run), json.loads((run / RESULT).read_text(encoding="utf-8"))
    test, train = masked_pictures(DATA, "test"), masked_pictures(DATA, "train").limited(TUNE)
    squares = pa.load_data(DATA, "test", image_size=model.image_size, crop_mode=model.crop_mode)
    return {
        "model": trained["model"],
        "trained_on": trained["data"]["name"],
        "error": trained["test"]["error"],
        "source": squares.source,
        "segmentation": asdict(segment(model, test, tune_on=train, console=console)),
        "comparison": asdict(compare(model, squares, costly=COSTLY, console=console)),
    }


if __name__ == "__main__":
    main([Path(run) for run in sys.argv[1:]])
