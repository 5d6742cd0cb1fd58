"""What the studio reaches, for docs/studio.md, from results/studio.json."""

import json
from pathlib import Path
from typing import Any

from markdown_table import markdown_table

RESULT = Path(__file__).parents[2] / "results" / "studio.json"


def studio() -> str:
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    load, hostile, changes, made = result["load"], result["hostile"], result["changes"], result["provenance"]
    rows = [
        ["from the command to the page, s", *_spread(result["start"], 2)],
        ["from a picture to its maps, s", *_spread(result["answers"], 2)],
    ]
    if changes is not None:
        rows.append(["from a click on a level to its map, ms", *_spread(changes["milliseconds"], 0)])
    rows.append([f"an answer while {load['people']} people ask, s", *_spread(load["seconds_an_answer"], 2)])
    memory = load["memory_mib"]
    grown = memory["most_in_the_second_half"] - memory["after_the_first_half"]
    return (
        f"{markdown_table(['', 'min', 'median', 'max'], rows)}\n\n"
        f"{load['people']} people asked for {load['seconds']:g} s: {load['answers']:,} answers, "
        f"{load['without_maps']:,} of them without maps; from the first half of the time to the second the server's "
        f"memory grew by {max(0, grown):.0f} MiB. Of {hostile['uploads']:,} hostile uploads {hostile['clear']:,} had a "
        f"clear answer; afterwards it was {'the same process' if hostile['the_same_process'] else 'another process'}, "
        f"which {'answered' if hostile['answers_afterwards'] else 'did not answer'}. {made['device']}, "
        f"{result['cores']} cores, load {result['load_average_at_the_end']:.1f} at the end, {made['date']} "
        "(`python benchmarks/studio.py`, `results/studio.json`)."
    )


def _spread(found: dict[str, Any], digits: int) -> list[str]:
    return [f"{found[k]:.{digits}f}" for k in ("min", "median", "max")]
