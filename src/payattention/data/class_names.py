"""One thing under several names: data sets do not agree on what to call a class."""

from collections.abc import Sequence

from payattention.errors import UsageError

_SAME = {"car": "automobile", "aeroplane": "airplane", "plane": "airplane"}


def same_class(name: str, names: Sequence[str]) -> int | None:
    """The number of the class among `names` that is called `name`, or means the same; None where there is none."""
    known = [_canonical(other) for other in names]
    return known.index(_canonical(name)) if _canonical(name) in known else None


def check_same_classes(own: tuple[str, ...], count: int, others: tuple[str, ...], of: str) -> None:
    """Raises UsageError if a model's classes, which may have no names, are not those of a data set."""
    if own and own != others:
        raise UsageError(f"the model knows {len(own)} classes ({_few(own)}), {of} has {len(others)} ({_few(others)})")
    if count != len(others):
        raise UsageError(f"the model has {count} classes, {of} has {len(others)}")


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _canonical(name: str) -> str:
    return _SAME.get(name.lower(), name.lower())
