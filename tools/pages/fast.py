"""What the fast networks reach in about an hour, for docs/models.md, from results/fast.json."""

import json
from pathlib import Path
from typing import Any

from markdown_table import markdown_table

RESULT = Path(__file__).parents[2] / "results" / "fast.json"
_COLUMNS = ("data", "network", "epochs", "seed", "error, %", "in training, %", "hours", "images/s")


def fast() -> str:
    if not RESULT.is_file():
        return "Not trained yet (`python experiments/fast.py`)."
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    rows = [_row(seed, own["training"]) for runs in result["runs"].values() for seed, own in runs.items()]
    lines = [_worth(name, seed, own) for name, seeds in result["attention"].items() for seed, own in seeds.items()]
    devices = {own["training"]["provenance"]["device"] for runs in result["runs"].values() for own in runs.values()}
    return "\n\n".join(
        [
            f"By the recipe `fast`, on {' and '.join(sorted(devices))} (`python experiments/fast.py`, "
            "`results/fast.json`); test split, last epoch, one view a picture:",
            markdown_table(_COLUMNS, rows, words=2),
            *lines,
        ]
    )


def _row(seed: str, training: dict[str, Any]) -> list[str]:
    curve, seconds = training["curve"], training["provenance"]["seconds"]
    paces = sorted(epoch["images_per_second"] for epoch in curve)
    return [
        f"{training['data']['name'].partition(':')[2]} ({training['data']['source']})",
        f"`{training['model']['name']}`",
        str(training["recipe"]["epochs"]),
        seed,
        f"{training['test']['error']:.2f}",
        f"{curve[-1]['train_error']:.2f}",
        f"{seconds / 3600:.1f}",
        f"{paces[len(paces) // 2]:.0f}",
    ]


def _worth(name: str, seed: str, own: dict[str, Any]) -> str:
    sure = own["interval"]
    return (
        f"On {name}, seed {seed}, the error with attention is {own['lower_by']:.2f} points lower than without it "
        f"(95 % interval over the pictures: {sure[0]:.2f} to {sure[1]:.2f})."
    )
