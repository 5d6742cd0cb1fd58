"""The errors a user can cause. Each is one line that names the thing and what would be right."""

from collections.abc import Iterable
from difflib import get_close_matches


class PayAttentionError(Exception):
    """Something failed that the user can act on; the command line prints it and exits with 1."""

    exit_code = 1


class UsageError(PayAttentionError, ValueError):
    """A call with a wrong name, value or combination; the command line prints it and exits with 2."""

    exit_code = 2


class DataError(PayAttentionError):
    """A file or data set that cannot be read or does not hold what it should."""


class CheckpointError(PayAttentionError):
    """Saved weights that are missing, unreadable or belong to another network."""


def without_maps(model: str) -> UsageError:
    """The error for a network that has no attention maps."""
    return UsageError(f"{model} has no attention maps; take one of the attention models")


def without_query(model: str) -> UsageError:
    """The error for a network whose maps ask no query."""
    return UsageError(f"{model} has no query: only attention models have one")


def unknown(kind: str, name: str, valid: Iterable[str], otherwise: str | None = None) -> UsageError:
    """The error for a name that does not exist, with the nearest ones that do."""
    return UsageError(f"unknown {kind} {name!r}; {meant(name, valid, otherwise)}")


def meant(name: str, valid: Iterable[str], otherwise: str | None = None) -> str:
    """Which names may have been meant; where none is near, all that there are, or what is said `otherwise`."""
    choices = sorted(valid)
    near = get_close_matches(name, choices, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    return f"there are: {', '.join(choices)}" if otherwise is None else otherwise
