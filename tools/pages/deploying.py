"""Exported files: that they say what their models say, and how fast they are beside PyTorch."""

import json
from pathlib import Path

from markdown_table import markdown_table

RESULTS = Path(__file__).parents[2] / "results"


def exported() -> str:
    file = RESULTS / "exported.json"
    if not file.is_file():
        return "Not measured yet."
    result = json.loads(file.read_text(encoding="utf-8"))
    networks = result["networks"]
    written = {name: own for name, own in networks.items() if "error" not in own}
    failed = ", ".join(f"`{name}` ({own['error']})" for name, own in networks.items() if "error" in own)
    backbones = sum(name.startswith("timm:") for name in written)
    any_size = sum(own["any_size"] for own in written.values())
    fixed = ", ".join(f"`{name}`" for name, own in written.items() if not own["any_size"])
    return (
        f"Measured (`{result['provenance']['command']}`, `results/exported.json`): {len(written) - backbones} networks "
        f"of the registry at width {result['width']:g} and {backbones} timm backbones as ONNX files depart from their "
        f"models by {max(own['difference'] for own in written.values()):.1e} at most. {any_size} of these "
        f"{len(written)} files take pictures of any size{f'; of one: {fixed}' if fixed else ''}. "
        + (f"Not exported: {failed}." if failed else "All could be exported.")
    )


def onnx_files() -> str:
    file = RESULTS / "onnx.json"
    if not file.is_file():
        return "Not measured yet."
    result = json.loads(file.read_text(encoding="utf-8"))
    rows = [
        [f"`{name}`, {own['size']} px", batch, way, _spread(pace, 1), _spread(part["times_as_fast"].get(way), 2)]
        for name, own in result["networks"].items()
        for batch, part in own["batches"].items()
        for way, pace in part["pictures_per_second"].items()
    ]
    columns = ["network", "batch", "by", "pictures/s", "times as fast"]
    made = result["provenance"]
    vnni = "" if result["vnni"] else ", without VNNI"
    note = (
        f"Logits and maps; median of {result['rounds']} rounds, minimum to maximum in brackets. "
        f"{made['device']}{vnni}, {made['date']} (`{made['command']}`, `results/onnx.json`)."
    )
    return f"{markdown_table(columns, rows, words=3)}\n\n{note}"


def _spread(spread: dict[str, float] | None, digits: int) -> str:
    if spread is None:
        return "1"
    low, middle, high = (f"{spread[name]:.{digits}f}" for name in ("min", "median", "max"))
    return f"{middle} ({low} to {high})"
