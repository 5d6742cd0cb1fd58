"""Trained against post-hoc maps, soft against hard attention: `python benchmarks/compare.py SOFT_RUN HARD_RUN`.

Writes results/compare.json and docs/compare.png, from two networks trained alike on the embedded data but for the
normaliser:

    payattention quickstart --out SOFT_RUN
    payattention train --recipe quickstart --width 0.125 --set normaliser=hard --out HARD_RUN

The first is measured as `payattention compare SOFT_RUN` does it, the second with its own maps and the trivial ones.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

import payattention as pa
from payattention.evaluation.comparison import Comparison, compare
from payattention.files import write_json, write_picture
from payattention.map_sheet import map_sheet

ROOT = Path(__file__).parent.parent
COMMAND = "python benchmarks/compare.py SOFT_RUN HARD_RUN"


def main(soft: str, hard: str) -> None:
    data, console = pa.load_data("cluttered_digits", "test"), Console(stderr=True)
    network = pa.load(soft)
    compared = compare(network, data, console=console)
    write_picture(ROOT / "docs" / "compare.png", map_sheet(network, data, compared, pictures=4))
    drawn = compare(pa.load(hard), data, methods=[], console=console)
    write_json(ROOT / "results" / "compare.json", {"soft": _result(soft, compared), "hard": _result(hard, drawn)})


def _result(run: str, compared: Comparison) -> dict[str, Any]:
    trained = json.loads(Path(run, "result.json").read_text(encoding="utf-8"))
    result = asdict(compared)
    result["provenance"]["command"] = COMMAND
    training = {"model": trained["model"], "recipe": trained["recipe"], "seed": trained["seed"]}
    return {"error": trained["test"]["error"], "training": training, **result}


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: {COMMAND}")
    main(*sys.argv[1:])
