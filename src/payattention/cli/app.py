"""The program: verbs, and how their errors reach the user."""

import os
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
    figure,
    maps,
    models,
    query,
    quickstart,
    reproduce,
    segment,
    train,
    transfer,
)
from payattention.cli.version import show_version
from payattention.errors import PayAttentionError
from payattention.system.cores import wait_briefly
from payattention.system.invocation import record
from payattention.system.processes import here

app = typer.Typer(
    name="payattention",
    help="Image classifiers that show where they look.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)


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
    maps,
    segment,
    query,
    compare,
    attack,
    transfer,
    figure,
    benchmark,
    reproduce,
):
    app.command()(getattr(_verb, _verb.__name__.rpartition(".")[2]))

# typer carries its own copy of click in newer releases: this is the base of its errors in either
_CallError = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")

_INTERRUPTED = 130


def main() -> NoReturn:
    """Runs the program: exit status 0, 1 (failed), 2 (called wrongly) or 130 (Ctrl-C), and one line for an error."""
    wait_briefly()
    warnings.formatwarning = _as_note
    sys.exit(run(sys.argv[1:]))


def _as_note(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning as a line for a user: where in the program it arose says nothing to them."""
    return f"note: {message}\n"


def run(arguments: list[str]) -> int:
    """Runs one command line and gives its exit status."""
    record(arguments)
    try:
        status = app(arguments, prog_name="payattention", standalone_mode=False)
        sys.stdout.flush()
    except PayAttentionError as error:
        return _fail(str(error), error.exit_code)
    except _CallError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message(), file=sys.stderr)
            return 2
        return _fail(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("stopped", _INTERRUPTED)
    except BrokenPipeError:  # the reader of our output went away: `payattention models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it exits
        return 1
    except OSError as error:  # a full disk, a place that cannot be written to
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)
    if status == _INTERRUPTED:  # what newer typers make of Ctrl-C
        return _fail("stopped", _INTERRUPTED)
    return status if isinstance(status, int) else 0


def _fail(message: str, status: int) -> int:
    own = here()
    if own.first or status == 1:  # what one process was called wrongly with, all were
        place = "" if own.first else f" (process {own.rank} of {own.count})"
        print(f"payattention{place}: {' '.join(message.split())}", file=sys.stderr)
    return status
