"""What maps of very many pictures cost, for docs/corpus.md, from results/corpus.json: the parts that are measured."""

import json
from pathlib import Path
from typing import Any

from markdown_table import markdown_table

RESULT = Path(__file__).parents[2] / "results" / "corpus.json"
_MILLION = 1_000_000


def corpus() -> str:
    if not RESULT.is_file():
        return "Not measured yet (`python benchmarks/corpus.py`)."
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    parts = [make(result[part]) for part, make in _PARTS.items() if part in result]
    made = result["provenance"]
    return "\n\n".join(
        [
            f"`{result['backbone']}` at {result['size']} px with two levels of attention, JPEG files of 500x375 pixels;"
            f" {made['device']}, {made['date']} (`python benchmarks/corpus.py`, `results/corpus.json`).",
            *parts,
        ]
    )


def _speed(found: dict[str, Any]) -> str:
    rate = found["pictures_per_second"]["corpus"]["median"]
    hours = _MILLION / rate / 3600
    rows = [[name, *_three(own, 1)] for name, own in found["pictures_per_second"].items()]
    rows.append(["corpus, times the faster bare one", *_three(found["of_the_bare_network"], 2)])
    return (
        f"{markdown_table(['pictures/s', 'min', 'median', 'max'], rows)}\n\n"
        f"By arithmetic from the median, a million such pictures take {hours:,.0f} hours of this machine; of n such "
        f"machines, or workers on as many cores, {hours:,.0f}/n. What an hour costs, your provider says; a GPU's "
        "pictures/s tells `payattention maps ... --engine local` after a minute."
    )


def _ray(found: dict[str, Any]) -> str:
    share, equal = found["of_local"], "the same bytes" if found["bytes_equal"] else "other bytes"
    low, middle, high = _three(share, 2)
    return (
        f"Ray with two workers of one thread: {middle} of the local engine's pictures/s on the same cores ({low} to "
        f"{high}, each without its start), {equal}."
    )


def _memory(found: dict[str, Any]) -> str:
    return (
        f"Memory over {found['pictures']:,} pictures: {found['mib_after_a_tenth']:,} MiB after a tenth of them, "
        f"{found['mib_at_the_end']:,} MiB at the end, {found['mib_at_most']:,} MiB at most."
    )


def _kills(found: dict[str, Any]) -> str:
    killed, equal = found["killed"], "those of an unbroken run, byte for byte"
    return (
        f"{found['pictures']:,} pictures, {found['hostile']} of them none, by Ray, with {killed['driver']} kills of "
        f"the driver and {killed['worker']} of workers at random moments: {found['rows']:,} rows of "
        f"{found['different']:,} pictures, {found['errors_named']} errors that name their file, "
        f"{found['halves_left']} half shards; the shards are {equal if found['bytes_equal'] else 'not ' + equal}."
    )


def _tail(found: dict[str, Any]) -> str:
    times = ", ".join(f"{value:.2f} with {count} workers" for count, value in found["times_ideal_by_workers"].items())
    return (
        f"One worker ten times slower than the others, {found['shards_a_worker']} shards a worker, on a pretended "
        f"clock: times the ideal finish, {times}."
    )


def _three(found: dict[str, float], digits: int) -> list[str]:
    return [f"{found[k]:.{digits}f}" for k in ("min", "median", "max")]


_PARTS = {"speed": _speed, "ray": _ray, "memory": _memory, "kills": _kills, "tail": _tail}
