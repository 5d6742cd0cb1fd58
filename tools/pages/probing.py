"""The tables of docs/attentive-probing.md, from results/probing.json."""

import json
from pathlib import Path
from typing import Any

from markdown_table import markdown_table
from measured_by import measured_by

RESULT = Path(__file__).parents[2] / "results" / "probing.json"
SETS = ("caltech101", "oxford_pets")
COLUMNS = ("read by", "accuracy %", "95 % interval", "trained parameters", "seconds", "pixel AP %", "pointing %")


def probing() -> str:
    """A table for each set: a row for each way to read the features."""
    found = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    return "\n\n".join(_set(found[name]) if name in found else f"**{name}**: not measured yet." for name in SETS)


def _set(found: dict[str, Any]) -> str:
    trivial = "; ".join(
        f"{name} {of['average_precision']:.1f} and {of['pointing']:.1f}" for name, of in found["trivial"].items()
    )
    head = (
        f"**{found['data']}**: {found['trained_on']:,} pictures to train on, {found['count']:,} to measure on; maps on "
        f"{found['maps_count']:,} pictures of {found['maps_of']} (maps that look at nothing: {trivial}). "
        f"{found['backbone_seconds']:,.0f} s for the backbone, once. {found['provenance']['device']}, "
        f"{found['provenance']['date']} (`results/probing.json`)."
    )
    table = markdown_table(COLUMNS, [_row(row) for row in found["rows"]])
    return f"{head}\n\n{table}\n\n{measured_by([found['provenance']['command']])}"


def _row(row: dict[str, Any]) -> list[str]:
    low, high = row["interval"]
    maps = row["maps"] or {}
    quality = [f"{maps[name]:.1f}" if maps else "-" for name in ("average_precision", "pointing")]
    counts = [f"{row['parameters']:,}", f"{row['seconds']:.0f}"]
    return [row["title"], f"{row['accuracy']:.1f}", f"{low:.1f} to {high:.1f}", *counts, *quality]
