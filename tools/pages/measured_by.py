"""The commands that made a table, below it."""

from collections.abc import Iterable


def measured_by(commands: Iterable[str]) -> str:
    """A block of commands, which the tests of the pages read and do not run."""
    lines = "\n".join(commands)
    return f"<!-- not run: what was measured so stands above -->\n```\n{lines}\n```"
