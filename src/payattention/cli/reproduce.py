"""`payattention reproduce`."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from payattention.cli.computing import computes
from payattention.cli.options import DataRootOption, JsonOption

if TYPE_CHECKING:
    import torch

    from payattention.reproduce import Departures, Outcome, Planned, Tally, Workplace

    Queue: TypeAlias = Callable[[torch.device], list[Planned]]

ENGINES = ("local", "ray")

TableOption = Annotated[
    list[str] | None,
    typer.Option(help="Only this table (table1, figure6, ...); may be repeated.", show_default=False),
]
CellOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        help="Only cells TABLE/ROW/COLUMN that match, as 'table1/vgg_att*/cifar10'; may be repeated.",
        show_default=False,
    ),
]
MinutesOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="Stop after so many minutes; the same command goes on. 0 runs nothing and notes what is missing.",
        show_default=False,
    ),
]
ScaleOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="All networks narrow and shortly trained, for their order: small. It sets width, epochs and recipe.",
        show_default=False,
    ),
]
WidthOption = Annotated[
    float | None,
    typer.Option(help="A departure: factor on every channel count, instead of the table's.", show_default=False),
]
DataMapOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=DATA",
        help="A departure: read a data set elsewhere, as cifar10=parquet:copies/cifar10; may be repeated.",
        show_default=False,
    ),
]


@computes
def reproduce(
    table: TableOption = None,
    cell: CellOption = None,
    seeds: Annotated[str, typer.Option(metavar="A,B,...", help="Each cell is run once for each of these.")] = "0,1,2",
    minutes: MinutesOption = None,
    max_hours: Annotated[
        float, typer.Option(min=0, help="Leave out what is expected to take longer, in hours on this machine.")
    ] = 48.0,
    scale: ScaleOption = None,
    width: WidthOption = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="A departure: passes over the data.", show_default=False)
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="A departure: how to train.", show_default=False)] = None,
    data_map: DataMapOption = None,
    data_root: DataRootOption = None,
    retry: Annotated[bool, typer.Option("--retry", help="Also run again what has failed.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the queue with its expected cost, and run nothing.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Write the page of results and its pictures, and run nothing.")
    ] = False,
    engine: Annotated[
        str,
        typer.Option(
            metavar="local|ray",
            help="What runs the cells: local, here, one at a time; ray, as many at a time as there are slots on the "
            "machines of a cluster, a slot being --threads cores (1) or, for what costs much, a GPU.",
        ),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            help="--engine ray: of the cluster, by default $RAY_ADDRESS, else this machine alone.", show_default=False
        ),
    ] = None,
    results: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results"),
    runs: Annotated[Path, typer.Option(help="Folder of the run folders and logs.")] = Path("runs/cells"),
    docs: Annotated[Path, typer.Option(help="--report: folder of the page.")] = Path("docs"),
    as_json: JsonOption = False,
) -> int:
    """Run the cells of the paper's tables that have no result yet, or report them.

    One cell at a time, those that tell the most for their cost first; what was stopped goes on next time. Several
    processes may work on one results folder: none takes a cell that another one is at.
    """
    from payattention.errors import UsageError
    from payattention.reproduce import Departures, Workplace, chosen_cells, plan, take_stock
    from payattention.system.machine import chosen_device
    from payattention.system.names import check_known

    check_known("engine", ENGINES, engine)
    if address is not None and engine != "ray":
        raise UsageError("--address is of a Ray cluster: add --engine ray")
    if report:
        return _report(results, docs, as_json)
    # everything is checked before anything is run
    chosen = chosen_cells(table or [], cell or [])
    departures = _departures(scale, Departures(width, epochs, recipe, _data_map(data_map or [])))
    wanted = _seeds(seeds)
    if not wanted:
        raise UsageError("--seeds: name at least one, as --seeds 0")
    departures.check(chosen)
    place = Workplace(results, runs, data_root)
    limits: Any = {"departures": departures, "max_hours": max_hours, "retry": retry}
    queue = partial(plan, chosen, wanted, place, **limits)
    if dry_run:
        _print_queue(queue(chosen_device()), place, as_json)
        return 0
    ran = _over_ray(queue, place, minutes, address) if engine == "ray" else _here(queue, place, minutes)
    take_stock(place, ran.device, max_hours)
    _print_tally(ran.tally, [planned.job.name for planned in ran.queue if planned.obstacle], as_json)
    return 1 if ran.tally.failed else 0


def _departures(scale: str | None, given: "Departures") -> "Departures":
    """Those of a scale, if one is named, read where the others are."""
    from dataclasses import replace

    from payattention.errors import UsageError
    from payattention.reproduce import SCALES
    from payattention.system.names import check_known

    if scale is None:
        return given
    check_known("scale", SCALES, scale)
    for option in ("width", "epochs", "recipe"):
        if getattr(given, option) is not None:
            raise UsageError(f"--scale {scale} sets width, epochs and recipe: leave out --{option}")
    return replace(SCALES[scale], data=given.data)


def _seeds(text: str) -> list[int]:
    from payattention.errors import UsageError

    try:
        found = list(dict.fromkeys(int(seed) for seed in text.split(",")))
    except ValueError:
        raise UsageError(f"--seeds {text!r}: write whole numbers with commas between, as --seeds 0,1,2") from None
    if any(not 0 <= seed < 2**31 for seed in found):
        raise UsageError(f"--seeds {text!r}: a seed lies between 0 and {2**31 - 1}")
    return found


def _data_map(pairs: list[str]) -> dict[str, str]:
    """`["cifar10=parquet:cifar10"]` as a mapping."""
    from payattention.data import check_name
    from payattention.errors import UsageError

    found = {}
    for pair in pairs:
        name, equals, place = pair.partition("=")
        if not (name and equals and place):
            raise UsageError(f"--data-map {pair!r}: write --data-map NAME=DATA, as cifar10=parquet:cifar10")
        check_name(name)
        check_name(place)
        found[name] = place
    return found


def _here(queue: "Queue", place: "Workplace", minutes: float | None) -> "Outcome":
    from payattention.reproduce import Outcome, run
    from payattention.system.machine import chosen_device

    planned = queue(chosen_device())
    _say_obstacles(planned)
    with _goes_on():
        return Outcome(run(planned, place, _say, minutes), planned, chosen_device())


def _over_ray(queue: "Queue", place: "Workplace", minutes: float | None, address: str | None) -> "Outcome":
    from payattention.reproduce import run_over_ray

    def told(device: "torch.device") -> "list[Planned]":
        _say_obstacles(planned := queue(device))
        return planned

    with _goes_on():
        return run_over_ray(told, place, _say, minutes, address)


def _say_obstacles(queue: "list[Planned]") -> None:
    reasons = Counter(planned.obstacle for planned in queue if planned.obstacle)
    for reason, count in sorted(reasons.items()):
        _say(f"left out: {count} {'job' if count == 1 else 'jobs'}: {reason}")


@contextmanager
def _goes_on() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        _say("the same command goes on")
        raise


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print_tally(tally: "Tally", left_out: list[str], as_json: bool) -> None:
    from dataclasses import asdict

    from payattention.cli.output import print_json, print_table

    if as_json:
        print_json({**asdict(tally), "left_out": left_out})
        return
    counts = [(what, len(jobs)) for what, jobs in {**asdict(tally), "left out": left_out}.items()]
    print_table(("cells' jobs", "number"), [row for row in counts if row[1]] or [("nothing to do", 0)])
    for name, reason in tally.failed.items():
        print(f"failed: {name}: {reason}")
    if tally.stopped or tally.waiting:
        print("the same command goes on")


def _print_queue(queue: "list[Planned]", place: "Workplace", as_json: bool) -> None:
    from payattention.cli.output import print_json, print_table
    from payattention.reproduce.queue import duration

    able = [planned for planned in queue if planned.obstacle is None]
    hours = sum(planned.hours for planned in able)
    if as_json:
        print_json({"queue": [planned.facts(place) for planned in queue], "hours": round(hours, 4)})
        return
    rows = [
        (p.job.name, ", ".join(p.cells) or "(its weights)", duration(p.hours), p.obstacle or "to be run") for p in queue
    ]
    print_table(("job", "cells", "expected", "state"), rows)
    print(f"to be run: {len(able)} of {len(queue)}, expected {duration(hours)} in all")


def _report(results: Path, docs: Path, as_json: bool) -> int:
    from payattention.cli.output import print_json
    from payattention.errors import UsageError
    from payattention.reproduce.report import PAGE, write_report

    if not results.is_dir():
        raise UsageError(f"--results {results}: no such folder")
    problems = write_report(results, docs)
    for line in problems:
        print(f"left out: {line}", file=sys.stderr)
    if as_json:
        print_json({"page": str(docs / PAGE), "left_out": problems})
    else:
        print(f"written: {docs / PAGE}")
    return 0
