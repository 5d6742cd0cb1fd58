"""Trained maps against post-hoc ones, and soft against hard attention: `python experiments/compare.py RUN`.

A network with soft attention is trained on the embedded data, and one with hard attention goes on from its weights:

    payattention quickstart --out runs/quickstart
    payattention train --recipe quickstart --width 0.125 --set normaliser=hard --init-from runs/quickstart \\
        --epochs 2 --recipe-set lr=0.02 --out runs/hard

The first is measured as `payattention compare` does it, into results/compare.json and docs/compare.png; the second with
its own maps and the trivial ones, into results/hard.json.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

import payattention as pa
from payattention.evaluation import Comparison, compare
from payattention.figures.compare import map_sheet
from payattention.system.files import write_json, write_picture

ROOT = Path(__file__).parent.parent


def main(run: str) -> None:
    data, console = pa.load_data("cluttered_digits", "test"), Console(stderr=True)
    model = pa.load(run)
    if model.config.options.get("normaliser") == "hard":
        write_json(ROOT / "results" / "hard.json", result(run, compare(model, data, methods=[], console=console)))
        return
    compared = compare(model, data, console=console)
    write_json(ROOT / "results" / "compare.json", result(run, compared))
    write_picture(ROOT / "docs" / "compare.png", map_sheet(model, data, compared, pictures=4))


def result(run: str, compared: Comparison) -> dict[str, Any]:
    trained = json.loads(Path(run, "result.json").read_text(encoding="utf-8"))
    training = {key: trained[key] for key in ("model", "recipe", "seed", "init_from")}
    provenance = {**asdict(compared.provenance), "command": "python experiments/compare.py RUN"}
    return {"error": trained["test"]["error"], "training": training, **asdict(compared), "provenance": provenance}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python experiments/compare.py RUN")
    main(sys.argv[1])
