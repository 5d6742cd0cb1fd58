"""One thing under several names: data sets do not agree on what to call a class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from payattention.data.imagenet import are_imagenets, other_names
from payattention.data.imageset import ImageSet
from payattention.data.masked import MaskedPictures
from payattention.errors import UsageError

P = TypeVar("P", ImageSet, MaskedPictures)
_SAME = {"car": "automobile", "aeroplane": "airplane", "plane": "airplane"}


@dataclass(frozen=True)
class Difference:
    """In what the classes of a set are not a model's.

    Attributes:
        missing: The model's classes of which the set has no picture.
        unknown: The set's classes that the model does not know, each with how many pictures it has.
        all_unknown: Whether the model knows none of those that have pictures.
    """

    missing: tuple[str, ...] = ()
    unknown: Mapping[str, int] = field(default_factory=dict)
    all_unknown: bool = False


def same_class(name: str, names: Sequence[str]) -> int | None:
    """The number of the class among `names` that is called `name`, or means the same; None where there is none."""
    number = int(numbers_among([name], names)[0])
    return None if number < 0 else number


def numbers_among(names: Sequence[str], own: Sequence[str]) -> NDArray[np.int64]:
    """For each name the number of the class among `own` that is called so, or means the same; -1 where none is."""
    alike = _alike(tuple(own))
    exactly = {name: number for number, name in enumerate(own)}
    return np.array([exactly.get(name, alike.get(_canonical(name), -1)) for name in names], np.int64)


@lru_cache(8)
def _alike(own: tuple[str, ...]) -> Mapping[str, int]:
    """The places of classes by what they are called in one way or another; of ImageNet's by all of their names."""
    others = {_canonical(name): number for name, number in other_names().items()} if are_imagenets(own) else {}
    return others | {_canonical(name): number for number, name in reversed([*enumerate(own)])}


def difference(data: ImageSet | MaskedPictures, own: Sequence[str]) -> Difference:
    """In what a set's classes are not those of a model; in nothing where the model knows no names."""
    if not own:
        return Difference()
    numbers, counts = numbers_among(data.classes, own), np.bincount(data.labels, minlength=len(data.classes))
    there = {*numbers[counts > 0].tolist()}
    return Difference(
        missing=tuple(name for number, name in enumerate(own) if number not in there),
        unknown={
            name: int(count)
            for name, number, count in zip(data.classes, numbers, counts, strict=True)
            if number < 0 and count
        },
        all_unknown=there == {-1},
    )


def known_part(data: P, own: Sequence[str]) -> tuple[P, Difference]:
    """The pictures of classes that a model knows, for what can be measured whatever the class.

    All of them where it knows none of the set's classes, or no names at all.
    """
    found = difference(data, own)
    if not found.unknown or found.all_unknown:
        return data, found
    return data.chosen(np.flatnonzero(numbers_among(data.classes, own)[data.labels] >= 0)), found


def check_same_classes(own: tuple[str, ...], count: int, others: tuple[str, ...], of: str) -> None:
    """Raises UsageError if a model cannot be measured on a data set: none of the classes is its own.

    A model that knows no names needs as many classes as it has itself.
    """
    if own and (numbers_among(others, own) < 0).all():
        raise UsageError(
            f"{of} has no class of the model's: the model knows {len(own)} classes ({_few(own)}), {of} has "
            f"{len(others)} ({_few(others)})"
        )
    if not own and count != len(others):
        raise UsageError(f"the model has {count} classes, {of} has {len(others)}")


def numbered_as(data: ImageSet, own: tuple[str, ...]) -> tuple[ImageSet, Difference]:
    """A set's images with the numbers that a model has for their classes, found by name.

    Args:
        data: The set.
        own: The names of the model's classes; where it has none, the set stays as it is.

    Returns:
        The images of the classes that the model knows; and what it does not know, which is left out, or has no image.

    Raises:
        UsageError: No image is of a class that the model knows.
    """
    part, found = known_part(data, own)
    if found.all_unknown:
        raise UsageError(f"no image of {data.name}, {data.split}, is of a class that the model knows ({_few(own)})")
    if not own or data.classes == own:
        return part, found
    return replace(part, labels=numbers_among(data.classes, own)[part.labels], classes=own), found


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _canonical(name: str) -> str:
    """Without capitals, and with spaces for what stands between words in the names of folders."""
    words = " ".join(name.lower().replace("_", " ").replace("-", " ").split())
    return _SAME.get(words, words)
