"""The table of docs/backbones.md, from results/backbones.json."""

import json
from pathlib import Path
from typing import Any

from markdown_table import markdown_table

RESULT = Path(__file__).parents[2] / "results" / "backbones.json"
VARIANTS = ("pc", "additive")


def backbones() -> str:
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    made, rounds, batch = result["provenance"], result.get("rounds", 7), result.get("batch_size", 4)  # earlier unsaid
    head = (
        f"At {result['size']}x{result['size']} and {result['classes']:,} classes. Images a second: median of {rounds} "
        f"rounds (least to most) of batches of {batch}; {made['device']}, PyTorch {made['versions']['torch']}, "
        f"{made['date']}."
    )
    costs = [column for cost in ("parameters (M)", "multiply-adds (M)") for column in (cost, *VARIANTS)]
    columns = ["backbone", *costs, "images/s bare", *VARIANTS]
    return f"{head}\n\n{markdown_table(columns, [_row(backbone) for backbone in result['backbones']])}"


def _row(backbone: dict[str, Any]) -> list[str]:
    cells = [f"{backbone['backbone']}"]
    for cost in ("parameters", "multiply_adds"):
        bare = backbone["bare"][cost]
        cells.append(f"{bare / 1e6:,.1f}")
        cells += [f"{100 * (backbone[variant][cost] / bare - 1):+.1f} %" for variant in VARIANTS]
    for variant in ("bare", *VARIANTS):
        rate = backbone[variant]["images_per_second"]
        cells.append(f"{rate['median']:.0f} ({rate['min']:.0f} to {rate['max']:.0f})")
    return cells
