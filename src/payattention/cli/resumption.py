"""`payattention train --resume RUN`: everything is in the run folder, so nothing else is asked for."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from payattention.cli.reading import wanted_of
from payattention.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

_ALLOWED = {"resume", "data_root", "epochs", "device", "threads", "as_json"}


def check_alone(context: typer.Context) -> None:
    """Raises UsageError if an option was given that the run has settled."""
    options = {p.name: p.opts[0] for p in context.command.params}
    given = [options[name] for name in options if name and name not in _ALLOWED and _typed(context, name)]
    if given:
        raise UsageError(
            f"--resume goes on with a run as it was begun: leave out {', '.join(given)}, or begin another run"
        )


def go_on(run: Path, data_root: Path | None, epochs: int | None, console: "Console") -> dict[str, Any]:
    """Resumes a run, or gives a finished one more epochs, on its data wherever that lies now.

    Returns:
        The content of its result.json.
    """
    from payattention.runs.experiment import extend, resume
    from payattention.runs.extension import check_longer, finished
    from payattention.runs.folder import unfinished
    from payattention.system.provenance import Stopwatch
    from payattention.weights.header import CONFIG

    record = unfinished(run) if epochs is None else finished(run)
    if epochs is not None:
        check_longer(run, record, epochs)
    reading = record.reading
    if reading is None:
        raise UsageError(f"{run}: this run was begun from Python: go on there with payattention.runs.experiment")
    watch = Stopwatch()
    train, test = wanted_of(reading, run / CONFIG, data_root).read()
    if epochs is not None:
        return extend(run, train, test, epochs, console=console, watch=watch)[1]
    return resume(run, train, test, console=console, watch=watch)[1]


def _typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
