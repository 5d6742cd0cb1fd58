"""What looking costs, for docs/speed.md and docs/other-libraries.md, from results/looking.json."""

import json
from pathlib import Path
from typing import Any

from markdown_table import markdown_table

_GRAD_CAM = ("explain by Grad-CAM, a list", "torch-cam's Grad-CAM, one batch")
RESULT = Path(__file__).parents[2] / "results" / "looking.json"


def looking() -> str:
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    start, folder, memory, explain = (result[part] for part in ("start", "folder", "memory", "explain"))
    rows = [[f"{name}, s", *_spread(found)] for name, found in start["seconds"].items()]
    beyond = folder["pictures_per_second_beyond_the_start"]
    rows.append([f"maps of {folder['pictures']} photographs, pictures/s beyond the start", *_spread(beyond)])
    rows += [[f"{name}, pictures/s", *_spread(found)] for name, found in explain["pictures_per_second"].items()]
    ratios = {
        "explain of a list, times the bare network": explain["of_the_bare_network"],
        "explain of a list, times single calls": explain["times_single_calls"],
        "Grad-CAM of a list, times torch-cam": explain["times_torchcam"],
    }
    rows += [[name, *(f"{found[k]:.2f}" for k in ("min", "median", "max"))] for name, found in ratios.items()]
    width, height = memory["size"]
    made = result["provenance"]
    return (
        f"{markdown_table(['', 'min', 'median', 'max'], rows)}\n\n"
        f"`{result['backbone']}` at {result['size']} px with two levels of attention, {result['rounds']} rounds; "
        f"`explain` on {explain['pictures']} pictures. Maps of {memory['pictures']} photographs of {width}x{height} "
        f"take {memory['peak_mib']['with attention']:,} MiB at most, {memory['peak_mib']['wrapped']:,} MiB of the same "
        f"backbone, wrapped. {made['device']}, {made['date']} (`results/looking.json`)."
    )


def beside() -> str:
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    rates = result["explain"]["pictures_per_second"]
    ours, theirs = (" to ".join(f"{rates[name][k]:.1f}" for k in ("min", "max")) for name in _GRAD_CAM)
    made = result["provenance"]
    return (
        f"Grad-CAM of {result['explain']['pictures']} pictures with `{result['backbone']}` at {result['size']} px: "
        f"{ours} pictures/s here, where a list is looked at in batches and pictures are decoded already, {theirs} with "
        f"torch-cam in one batch; {result['rounds']} rounds in turn on {made['device']}, {made['date']} "
        "(`python benchmarks/looking.py`, `results/looking.json`; [more](speed.md#what-does-it-cost-to-look))."
    )


def _spread(found: dict[str, Any]) -> list[str]:
    return [f"{found[k]:.1f}" for k in ("min", "median", "max")]
