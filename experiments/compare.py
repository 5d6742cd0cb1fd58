"""Measures trained maps against post-hoc ones, and soft against hard attention, for docs/maps.md.

A network with soft attention is trained on the embedded data, and one with hard attention goes on from its weights:

    payattention quickstart --out runs/quickstart
    payattention train --recipe quickstart --width 0.125 --set normaliser=hard --init-from runs/quickstart \\
        --epochs 2 --recipe-set lr=0.02 --out runs/hard

The first is measured as `payattention compare` does it, into results/compare.json and docs/compare.png; the second with
its own maps and the trivial ones, into results/hard.json.
"""

from typing import Any

import payattention as pa
from payattention.cli.options import LimitOption
from payattention.cli.output import progress_console
from payattention.cli.program import run_script
from payattention.data import limited
from payattention.evaluation import Comparison, compare
from payattention.evaluation.comparison.budget import Bound
from payattention.figures.comparison import map_sheet
from payattention.system.files import write_json, write_picture
from trained import RESULTS, ROOT, ResultsOption, RunFolder, training_of


def main(run: RunFolder, limit: LimitOption = None, results: ResultsOption = RESULTS) -> None:
    trained, model, data = training_of(run), pa.load(run), pa.load_data("cluttered_digits", "test")
    data = data if limit is None else limited(data, limit)
    console = progress_console()
    if model.config.options.get("normaliser") == "hard":
        write_json(results / "hard.json", result(trained, compare(model, data, methods=[], console=console)))
        return
    compared = compare(model, data, costly=Bound(minutes=9), console=console)
    write_json(results / "compare.json", result(trained, compared))
    pictures = ROOT / "docs" if results == RESULTS else results
    write_picture(pictures / "compare.png", map_sheet(model, data, compared, pictures=4))


def result(trained: dict[str, Any], compared: Comparison) -> dict[str, Any]:
    training = {key: trained[key] for key in ("model", "recipe", "seed", "init_from")}
    return {"error": trained["test"]["error"], "training": training, **compared.as_json()}


if __name__ == "__main__":
    run_script(main)
