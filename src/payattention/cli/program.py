"""A program made with typer: its settings, and how its errors reach the user. So are the command and the scripts."""

import inspect
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import typer

from payattention.errors import PayAttentionError
from payattention.system.files import at_home
from payattention.system.invocation import command_line
from payattention.system.processes import here
from payattention.system.text import open_streams

# typer carries its own copy of click in newer releases: this is the base of its errors in either
_CallError = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")

_INTERRUPTED = 130
_HOME = re.compile(r"^(--[\w-]+=)?(~|~[/\\].*)$", re.DOTALL)
"""A path in the home folder that no shell has replaced: `--out=~/maps`, or an argument in quotes."""


def new_program(**settings: Any) -> typer.Typer:
    """A program without verbs yet, in plain text."""
    return typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
        **settings,
    )


def run_program(program: typer.Typer, name: str, arguments: list[str]) -> int:
    """Runs one command line; its exit status is 0, 1 (failed), 2 (called wrongly) or 130 (Ctrl-C).

    Args:
        program: What to run.
        name: What one types to call it; results record it, with the arguments.
        arguments: What follows the name.
    """
    open_streams()
    command_line.set(" ".join([name, *map(shlex.quote, arguments)]))
    arguments = [_HOME.sub(_at_home, argument) for argument in arguments]
    try:
        status = program(arguments, prog_name=name, standalone_mode=False)
        sys.stdout.flush()
    except PayAttentionError as error:
        return _fail(name, str(error), error.exit_code)
    except _CallError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message(), file=sys.stderr)
            return 2
        return _fail(name, error.format_message(), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(name, "stopped", _INTERRUPTED)
    except BrokenPipeError:  # the reader of our output went away: `payattention models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it exits
        return 1
    except (MemoryError, RuntimeError) as error:
        if (memory := _out_of_memory(error)) is None:
            raise
        return _fail(name, memory, 1)
    except OSError as error:  # a full disk, a place that cannot be written to
        return _fail(name, f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)
    if status == _INTERRUPTED:  # what newer typers make of Ctrl-C
        return _fail(name, "stopped", _INTERRUPTED)
    return status if isinstance(status, int) else 0


def _fail(name: str, message: str, status: int) -> int:
    own = here()
    if own.first or status == 1:  # what one process was called wrongly with, all were
        place = "" if own.first else f" (process {own.rank} of {own.count})"
        print(f"{name}{place}: {' '.join(message.split())}", file=sys.stderr)
    return status


def _out_of_memory(error: MemoryError | RuntimeError) -> str | None:
    """What to do where memory ran out, in a line; None for another error. A CPU's has no class of its own."""
    said = str(error).strip().partition("\n")[0]
    if not (isinstance(error, MemoryError) or "out of memory" in said or "can't allocate memory" in said):
        return None
    return (
        f"memory ran out{f' ({said})' * bool(said)}: take smaller batches (train: --recipe-set batch_size=32), smaller "
        "pictures (--image-size or --size), or fewer --threads"
    )


def _at_home(found: re.Match[str]) -> str:
    return f"{found[1] or ''}{at_home(Path(found[2]))}"


def script(main: Callable[..., None]) -> typer.Typer:
    """A program of one function, whose module's docstring is its help."""
    program = new_program()
    program.command(help=_unwrapped(main.__globals__["__doc__"]))(main)
    return program


def run_script(main: Callable[..., None]) -> NoReturn:
    """Runs a script of the repository, as a verb is run: `python FOLDER/SCRIPT.py ...`."""
    file = Path(inspect.getfile(main)).resolve()
    root = next((folder for folder in file.parents if (folder / "pyproject.toml").is_file()), file.parent)
    sys.exit(run_program(script(main), f"python {file.relative_to(root)}", sys.argv[1:]))


def _unwrapped(text: str) -> str:
    """A help whose lists and commands stay as they are written: click fills paragraphs that no \\b precedes."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(f"\b\n{part}" if part.startswith(("- ", "  ", "1. ")) else part for part in paragraphs)
