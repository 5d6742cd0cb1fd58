"""How the program was called: the command line that results record, and the words that call it again."""

import shlex
import sys
from contextvars import ContextVar
from pathlib import Path

command_line: ContextVar[str | None] = ContextVar("command_line", default=None)
"""The command that is running, as a shell would take it; None when the library is used from Python."""


def program() -> str:
    """What the user typed to start the program, for hints that can be pasted: it may not be on the PATH."""
    by_file = Path(sys.argv[0]).suffix == ".py"  # `python -m payattention`, or a script that measures
    return "python -m payattention" if by_file else shlex.quote(sys.argv[0])
