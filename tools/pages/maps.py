"""The tables of trained maps beside post-hoc ones; those of docs/maps.md from results/compare.json and hard.json."""

import json
from pathlib import Path
from typing import Any

from markdown_table import markdown_table
from payattention.evaluation.metrics import METRICS

RESULTS = Path(__file__).parents[2] / "results"


def compare() -> str:
    result = _result("compare")
    origin = result["provenance"]
    return (
        f"`python experiments/compare.py RUN` on {origin['device']}, in {origin['seconds']:.0f} s: "
        f"{result['count']:,} test images, deletion and insertion on {result['costly']:,} of them; the network's test "
        f"error is {result['error']:.1f} %."
        f"\n\n{comparison_table(result['rows'])}\n\n**{result['verdict']}**"
    )


def hard() -> str:
    if not (RESULTS / "hard.json").is_file():
        return "Not measured yet: `python experiments/compare.py RUN` on that run writes `results/hard.json`."
    soft, drawn = _result("compare"), _result("hard")
    epochs = drawn["training"]["recipe"]["epochs"]
    errors = (
        f"Test error: {soft['error']:.1f} % soft; {drawn['error']:.1f} % hard, which went on from the soft network's "
        f"weights for {epochs} epochs.\n\n"
    )
    rows = [
        {**row, "name": f"{name} {row['name']}"}
        for name, result in (("soft", soft), ("hard", drawn))
        for row in result["rows"]
        if row["kind"] == "trained"
    ]
    return errors + comparison_table(rows)


def comparison_table(rows: list[dict[str, Any]]) -> str:
    """A comparison's rows: what `payattention.evaluation.comparison.table` measured of each map."""
    columns = ["map", "pictures", *(metric.heading for metric in METRICS.values()), "ms a picture"]
    lines = []
    for row in rows:
        scores = (_cell(row["scores"].get(key), row.get("intervals", {}).get(key)) for key in METRICS)
        lines.append([row["name"], f"{row['pictures']:,}", *scores, _milliseconds(row["milliseconds"])])
    return markdown_table(columns, lines)


def _cell(mean: float | None, interval: list[float] | None) -> str:
    if mean is None:
        return "-"
    return f"{mean:.1f}" + ("" if interval is None else f" ± {(interval[1] - interval[0]) / 2:.1f}")


def _milliseconds(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def _result(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return result
