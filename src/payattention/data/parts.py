"""Parts of a data set: a held-out part for choosing settings, fewer images, fewer classes. All are deterministic."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from payattention.data.imageset import ImageSet
from payattention.errors import UsageError
from payattention.system.names import check_known

_SEED = 20180430  # the parts are the same whatever the seed of a run


def held_out(data: ImageSet, share: float) -> tuple[ImageSet, ImageSet]:
    """Divides a training split: what remains to train on, and a part to choose settings by, class by class.

    The test split has no share in it. Of each class the nearest whole number of images is held out, but never its
    last one.

    Raises:
        UsageError: A share that is not between 0 and 1, or that leaves a part empty.
    """
    check_share(share)
    rank = _rank_in_class(data.labels)
    counts = data.class_counts[data.labels]
    apart = rank < np.minimum(np.rint(share * counts), counts - 1)
    if not apart.any():
        raise UsageError(f"a share of {share:g} holds out no image of {data.name}: its classes are too small")
    kept, held = (data.chosen(np.flatnonzero(part)) for part in (~apart, apart))
    return replace(kept, split=f"{data.split} less held-out"), replace(held, split="held-out")


def check_share(share: float) -> None:
    """Raises UsageError unless a share can be held out."""
    if not 0 < share < 1:
        raise UsageError(f"the held-out share is {share:g}: it lies between 0 and 1, e.g. 0.1")


def limited(data: ImageSet, count: int) -> ImageSet:
    """At most `count` images, as evenly from all classes as they go, in their order in the set.

    Raises:
        UsageError: Fewer than one image.
    """
    check_limit(count)
    return divided(data, count)[0]


def check_limit(count: int) -> None:
    """Raises UsageError for a limit that leaves nothing."""
    if count < 1:
        raise UsageError(f"the limit is {count} pictures: it must be at least 1")


def divided(data: ImageSet, count: int) -> list[ImageSet]:
    """What `limited` takes, and the rest if there is any, both in their order in the set."""
    if count >= len(data):
        return [data]
    order = in_turn(data.labels)
    return [data.chosen(np.sort(part)) for part in (order[:count], order[count:])]


def in_turn(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers of all images, first those that are the first of their classes, then the second ones, ..."""
    return np.argsort(_rank_in_class(labels), kind="stable")


def of_classes(data: ImageSet, names: Sequence[str]) -> ImageSet:
    """The images of some classes, which are numbered anew, in the order in which the set has them.

    Raises:
        UsageError: An unknown name.
    """
    kept = [data.classes.index(name) for name in chosen_classes(data.classes, names, data.name)]
    numbers = np.full(len(data.classes), -1)
    numbers[kept] = np.arange(len(kept))
    part = data.chosen(np.flatnonzero(np.isin(data.labels, kept)))
    return replace(part, labels=numbers[part.labels], classes=tuple(data.classes[label] for label in kept))


def chosen_classes(classes: Sequence[str], names: Sequence[str], of: str) -> tuple[str, ...]:
    """Those of a set's classes that are named, in the set's order.

    Raises:
        UsageError: An unknown name.
    """
    check_known(f"class of {of}", classes, *names)
    return tuple(name for name in classes if name in names)


def check_enough_classes(classes: Sequence[str], of: str) -> None:
    """Raises UsageError for fewer classes than a classifier can be trained to tell apart."""
    if len(classes) < 2:
        only = f", {classes[0]!r}" if classes else ""
        raise UsageError(f"{of}: {len(classes)} class{only} is too few to train on: a classifier needs at least 2")


def _rank_in_class(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each image, its place among the images of its class in a fixed random order."""
    shuffled = np.random.default_rng(_SEED).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    counts = np.bincount(labels)
    rank = np.empty(len(labels), np.int64)
    rank[by_class] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rank
