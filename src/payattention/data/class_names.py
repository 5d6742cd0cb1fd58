"""One thing under several names: data sets do not agree on what to call a class."""

from collections.abc import Sequence

_SAME = {"car": "automobile", "aeroplane": "airplane", "plane": "airplane"}


def same_class(name: str, names: Sequence[str]) -> int | None:
    """The number of the class among `names` that is called `name`, or means the same; None where there is none."""
    known = [_canonical(other) for other in names]
    return known.index(_canonical(name)) if _canonical(name) in known else None


def _canonical(name: str) -> str:
    return _SAME.get(name.lower(), name.lower())
