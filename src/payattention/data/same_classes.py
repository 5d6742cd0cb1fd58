"""One thing under several names: data sets do not agree on what to call a class."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from payattention.data.imageset import ImageSet
from payattention.errors import UsageError

_SAME = {"car": "automobile", "aeroplane": "airplane", "plane": "airplane"}


def same_class(name: str, names: Sequence[str]) -> int | None:
    """The number of the class among `names` that is called `name`, or means the same; None where there is none."""
    known = [_canonical(other) for other in names]
    return known.index(_canonical(name)) if _canonical(name) in known else None


def check_same_classes(own: tuple[str, ...], count: int, others: tuple[str, ...], of: str) -> None:
    """Raises UsageError if a model cannot be measured on a data set: none of the classes is its own.

    A model that knows no names needs as many classes as it has itself.
    """
    if own and not {*own} & {*others}:
        raise UsageError(
            f"{of} has no class of the model's: the model knows {len(own)} classes ({_few(own)}), {of} has "
            f"{len(others)} ({_few(others)})"
        )
    if not own and count != len(others):
        raise UsageError(f"the model has {count} classes, {of} has {len(others)}")


def numbered_as(data: ImageSet, own: tuple[str, ...]) -> tuple[ImageSet, dict[str, int]]:
    """A set's images with the numbers that a model has for their classes, found by name.

    Args:
        data: The set.
        own: The names of the model's classes; where it has none, the set stays as it is.

    Returns:
        The images of the classes that the model knows; and of each class that it does not, how many were left out.

    Raises:
        UsageError: No image is of a class that the model knows.
    """
    if not own or data.classes == own:
        return data, {}
    numbers = np.array([own.index(name) if name in own else -1 for name in data.classes])
    labels = numbers[data.labels]
    if not (labels >= 0).any():
        raise UsageError(f"no image of {data.name}, {data.split}, is of a class that the model knows ({_few(own)})")
    unknown = {name: int(count) for name, count in zip(data.classes, data.class_counts, strict=True) if name not in own}
    known = np.flatnonzero(labels >= 0)
    return replace(data.chosen(known), labels=labels[known], classes=own), unknown


def without_images(data: ImageSet) -> tuple[str, ...]:
    """The classes of which a set has no image."""
    return tuple(name for name, count in zip(data.classes, data.class_counts, strict=True) if not count)


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _canonical(name: str) -> str:
    return _SAME.get(name.lower(), name.lower())
