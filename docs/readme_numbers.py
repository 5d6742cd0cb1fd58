"""Fills the README's numbers from results/: `python docs/readme_numbers.py`. A test holds them together."""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def quickstart() -> str:
    result = _result("quickstart")
    hits = result["pointing"]["hits"]
    device = result["pointing"]["provenance"]["device"]
    return (
        f"on {device}, {result['seconds_of_the_whole_command']:.0f} s in all; test error {result['error']:.1f} %. "
        f"The combined map's peak falls on the digit (within {result['pointing']['tolerance']} px) in "
        f"{hits['combined']:.1f} % of {result['pointing']['count']:,} test images; the image centre does in "
        f"{hits['image centre']:.1f} %, a random point in {hits['random point']:.1f} %."
    )


def filled(text: str) -> str:
    """A README's text with its blocks filled in."""
    return re.sub(
        r"(<!-- quickstart -->\n).*?(<!-- /quickstart -->)",
        lambda match: f"{match[1]}{quickstart()}\n{match[2]}",
        text,
        flags=re.DOTALL,
    )


def _result(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((ROOT / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return result


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
