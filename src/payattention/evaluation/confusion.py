"""Which classes are taken for which: the confusion matrix, and each class's recall, precision and F1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from payattention.system.reporting import per_cent

Confusion = Mapping[str, Mapping[str, int]]
"""By true class, how many of its images are told to be of each class; only those that are."""


@dataclass(frozen=True)
class ClassScores:
    """How one class is told; in per cent.

    Attributes:
        count: Images of it.
        recall: The share of them that is told right; None where there are none.
        precision: The share that is right of all images that are told to be of it; None where there are none.
        f1: The harmonic mean of the two; None where neither is there.
    """

    count: int
    recall: float | None
    precision: float | None
    f1: float | None


def class_scores(
    labels: NDArray[np.int64], guesses: NDArray[np.int64], classes: Sequence[str]
) -> dict[str, ClassScores]:
    """The scores of each class that has images, or that images are told to be of."""
    from sklearn.metrics import precision_recall_fscore_support

    numbers = np.union1d(labels, guesses)
    precision, recall, f1, count = precision_recall_fscore_support(
        labels, guesses, labels=numbers, zero_division=np.nan
    )
    return {
        classes[number]: ClassScores(int(count[k]), *(_per_cent(score[k]) for score in (recall, precision, f1)))
        for k, number in enumerate(numbers.tolist())
    }


def confusion(labels: NDArray[np.int64], guesses: NDArray[np.int64], classes: Sequence[str]) -> Confusion:
    """The counts of the confusion matrix that are not 0."""
    pairs, counts = np.unique(np.stack([labels, guesses], axis=1), axis=0, return_counts=True)
    found: dict[str, dict[str, int]] = {}
    for (true, said), count in zip(pairs.tolist(), counts.tolist(), strict=True):
        found.setdefault(classes[true], {})[classes[said]] = count
    return found


def most_often_mistaken(counts: Confusion, most: int = 3) -> list[tuple[str, str, int]]:
    """The pairs of a true class and another that it is told to be, with how often; the most frequent first."""
    pairs = [(true, said, n) for true, row in counts.items() for said, n in row.items() if said != true]
    return sorted(pairs, key=lambda pair: -pair[2])[:most]


def as_matrix(counts: Confusion, classes: Sequence[str]) -> NDArray[np.int64]:
    """The whole matrix (C, C): a row for each true class, a column for each class that is told."""
    places = {name: place for place, name in enumerate(classes)}
    matrix = np.zeros((len(classes), len(classes)), np.int64)
    for true, row in counts.items():
        for said, count in row.items():
            matrix[places[true], places[said]] = count
    return matrix


def _per_cent(score: float) -> float | None:
    return None if np.isnan(score) else per_cent(score)
