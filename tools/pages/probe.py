"""The table of docs/probe.md, from results/caltech_probe.json."""

import json
from pathlib import Path
from typing import Any

from markdown_table import markdown_table
from measured_by import measured_by

RESULT = Path(__file__).parents[2] / "results" / "caltech_probe.json"


def probe() -> str:
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    models, pets = result["models"], result["pets"]
    tested = next(iter(models.values()))["caltech101"]["test_images"]
    baselines = ", ".join(f"{name} {value:.1f}" for name, value in pets["baselines_mean_jaccard"].items())
    head = (
        f"{tested:,} test pictures of Caltech-101 and {pets['pictures']:,} of the pets. Maps that look at nothing have "
        f"a Jaccard index of: {baselines}."
    )
    columns = ["attention", "accuracy %", "seconds", "pets: Jaccard %"]
    table = markdown_table(columns, [_row(name, model) for name, model in models.items()])
    commands = measured_by(model["command"] for model in models.values())
    made = "; ".join(sorted({_made(model["provenance"]) for model in models.values()}))
    return f"{head}\n\n{table}\n\n{commands}\n\n{made}."


def _row(name: str, model: dict[str, Any]) -> list[str]:
    accuracy, seconds = model["caltech101"]["accuracy"], model["seconds_of_the_whole_command"]
    return [name, f"{accuracy:.1f}", f"{seconds:.0f}", f"{model['pets_mean_jaccard']:.1f}"]


def _made(provenance: dict[str, Any]) -> str:
    return f"{provenance['device']}, PyTorch {provenance['versions']['torch']}, {provenance['date']}"
