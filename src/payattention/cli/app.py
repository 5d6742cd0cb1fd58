"""The command `payattention` and its verbs."""

import sys
import warnings
from typing import Annotated, NoReturn

import typer

from payattention.cli import (
    attack,
    benchmark,
    compare,
    data,
    evaluate,
    export,
    figure,
    maps,
    models,
    predict,
    probe,
    push,
    query,
    quickstart,
    reproduce,
    segment,
    studio,
    train,
    transfer,
)
from payattention.cli.program import new_program, run_program
from payattention.cli.version import show_version
from payattention.system.allocator import keep_freed
from payattention.system.cores import wait_briefly
from payattention.system.lean_imports import lean_imports

app = new_program(name="payattention", help="Image classifiers that show where they look.", no_args_is_help=True)


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=show_version, is_eager=True, help="Show versions and what this machine has, and exit."
        ),
    ] = False,
) -> None:
    """Image classifiers that show where they look."""


for _verb in (
    quickstart,
    models,
    data,
    train,
    evaluate,
    predict,
    maps,
    segment,
    query,
    compare,
    probe,
    attack,
    transfer,
    figure,
    studio,
    export,
    push,
    benchmark,
    reproduce,
):
    app.command()(getattr(_verb, _verb.__name__.rpartition(".")[2]))


def main() -> NoReturn:
    """Runs the program: exit status 0, 1 (failed), 2 (called wrongly) or 130 (Ctrl-C), and one line for an error."""
    wait_briefly()
    keep_freed()
    lean_imports()
    warnings.formatwarning = _as_note
    sys.exit(run(sys.argv[1:]))


def _as_note(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning as a line for a user: where in the program it arose says nothing to them."""
    return f"note: {message}\n"


def run(arguments: list[str]) -> int:
    """Runs one command line and gives its exit status."""
    return run_program(app, "payattention", arguments)
