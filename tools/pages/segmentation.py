"""The table of segmentation in docs/segmentation.md, from results/segment.json."""

import json
from pathlib import Path
from typing import Any

from markdown_table import markdown_table
from payattention.evaluation.segment import TRIVIAL

RESULT = Path(__file__).parents[2] / "results" / "segment.json"


def segment() -> str:
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    first = result["sizes"][0]
    head = (
        f"`{result['model']['name']}` at width {result['model']['width']:g}, trained on CIFAR-10 (error "
        f"{result['error']:.1f} %), on {first['count']:,} pictures of the Oxford pets ({first['source']}; "
        f"`results/segment.json`)"
    )
    return "\n\n".join([head, *map(_segmented, result["sizes"])])


def _segmented(result: dict[str, Any]) -> str:
    """A table for one size of the pictures, and whether the combined map beats those that look at nothing."""
    columns = {
        "Jaccard, Otsu": "jaccard",
        "pooled": "pooled",
        "best threshold": "tuned",
        "average precision": "precision",
    }
    shown = {**columns, "area": "area"}
    rows = [[kind, *(f"{found[key]:.1f}" for key in shown.values())] for kind, found in result["maps"].items()]
    ahead = {
        name: result["maps"]["combined"][key] - max(result["maps"][kind][key] for kind in TRIVIAL)
        for name, key in columns.items()
    }
    return (
        markdown_table([f"at {result['size']} px", *shown], rows)
        + "\n\nThe combined map beside the better of the two that never saw the picture: "
        + ", ".join(f"{name} {points:+.1f}" for name, points in ahead.items())
        + "."
        + _together(result)
    )


def _together(result: dict[str, Any]) -> str:
    if "times_gaussian" not in result:  # of before that was measured
        return ""
    both = result["times_gaussian"]
    return (
        f" Multiplied with the Gaussian, it has a Jaccard index of {both['jaccard']:.1f} and an average precision of "
        f"{both['precision']:.1f}."
    )
