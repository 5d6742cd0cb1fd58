"""The tables of docs/pets.md, from results/pets.json."""

import json
from pathlib import Path
from typing import Any

from maps import comparison_table
from markdown_table import markdown_table

RESULT = Path(__file__).parents[2] / "results" / "pets.json"
SEGMENTED = {"Jaccard, Otsu": "jaccard", "best threshold": "tuned", "average precision": "precision", "area": "area"}


def segmented() -> str:
    """Masks of the whole pictures: a row for each model and map."""
    rows = []
    for run in _runs():
        for kind, found in run["segmentation"]["maps"].items():
            rows.append([_name(run), kind, *(f"{found[key]:.1f}" for key in SEGMENTED.values())])
    first = _runs()[0]["segmentation"]
    head = f"{first['count']:,} pictures, thresholds chosen on {first['tuned_on']} (`results/pets.json`)"
    return f"{head}\n\n{markdown_table(['attention', 'map', *SEGMENTED], rows, words=2)}"


def compared() -> str:
    """Trained maps against post-hoc ones, a table for each model."""
    return "\n\n".join(map(_comparison, _runs()))


def _comparison(run: dict[str, Any]) -> str:
    found = run["comparison"]
    origin = found["provenance"]
    return (
        f"### `{_name(run)}`\n\nError on {run['trained_on']} {run['error']:.1f} %; {found['count']:,} pictures, "
        f"deletion and insertion on {found['costly']:,}; {origin['seconds']:.0f} s on {origin['device']}.\n\n"
        f"{comparison_table(found['rows'])}\n\n**{found['verdict']}**"
    )


def _name(run: dict[str, Any]) -> str:
    return str(run["model"]["options"]["compatibility"])


def _runs() -> list[dict[str, Any]]:
    return list(json.loads(RESULT.read_text(encoding="utf-8")).values())
