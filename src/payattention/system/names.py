"""Names that a user gives: one that does not exist is refused with the nearest ones that do."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import NoReturn, TypeVar

from payattention.errors import UsageError

T = TypeVar("T")


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


class Registry(dict[str, T]):
    """Things of one kind by their names; to ask for a name that none of them has raises UsageError.

    Args:
        kind: What they are, in a message: "unknown KIND 'sotfmax'; did you mean 'softmax'?".
        known: The first of them; more are added as to a dictionary.
    """

    def __init__(self, kind: str, known: Mapping[str, T] = MappingProxyType({})) -> None:
        super().__init__(known)
        self.kind = kind

    def __missing__(self, name: object) -> NoReturn:
        raise unknown(self.kind, str(name), self)


def check_known(kind: str, valid: Iterable[str], *names: str) -> None:
    """Raises UsageError for the first name that is not valid, where there is nothing behind the names."""
    there = tuple(valid)
    for name in names:
        if name not in there:
            raise unknown(kind, name, there)
