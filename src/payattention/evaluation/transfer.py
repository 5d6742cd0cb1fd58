"""Transfer: a linear SVM on a trained model's features, by cross-validation on another data set (paper, table 3).

The features are those at the input of the last classifier (`Classifier.features`); the network is not trained any
further, and normalises the new images as it did those that it was trained on, unless they are whitened.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from payattention.data import ImageSet
from payattention.errors import UsageError, without_numbers
from payattention.evaluation.batch_by_batch import computed
from payattention.evaluation.result import Result
from payattention.evaluation.whitening import whitening
from payattention.models import Classifier
from payattention.system.machine import chosen_device
from payattention.system.progress import tracked
from payattention.system.provenance import Stopwatch
from payattention.system.reporting import Table, per_cent

C = 1.0


@dataclass(frozen=True, kw_only=True)
class Transfer(Result):
    """Accuracy of a linear SVM on a model's features.

    Attributes:
        image_size: Their side in pixels.
        classes: How many classes they have.
        dimension: Of the features.
        whitened: Whether the images were whitened by their own statistics.
        standardised: Whether each feature was brought to mean 0 and deviation 1 over the training folds.
        folds: Accuracy on each fold in turn, in per cent.
        accuracy: Their mean.
        deviation: Their standard deviation (n - 1).
        unfinished: How many of the SVMs had not converged when they were stopped.
    """

    image_size: int
    classes: int
    dimension: int
    whitened: bool
    standardised: bool
    folds: tuple[float, ...]
    accuracy: float
    deviation: float
    unfinished: int

    def report(self) -> Iterator[Table | str]:
        yield (
            f"{self.data}, {self.split}: {self.count:,} images of {self.classes} classes at {self.image_size} px, "
            f"linear SVM on {self.dimension} features"
        )
        columns = (*(f"fold {k}" for k in range(1, 1 + len(self.folds))), "accuracy %", "deviation")
        yield Table(columns, [(*self.folds, self.accuracy, self.deviation)])


def transfer(
    model: Classifier,
    data: ImageSet,
    *,
    folds: int = 5,
    whiten: bool = False,
    standardise: bool = False,
    max_iter: int = 10_000,
    seed: int = 0,
    console: Console | None = None,
) -> Transfer:
    """Cross-validates a linear SVM (C = 1, one class against the rest, squared hinge loss) on a model's features.

    Args:
        model: The model.
        data: Any labelled set.
        folds: How many parts, each with its share of every class; the paper's are 5.
        whiten: Whether to whiten the images by their own statistics, in place of the model's normalisation.
        standardise: Whether to bring each feature to mean 0 and deviation 1 over the training folds.
        max_iter: At most so many iterations of the SVM's solver.
        seed: Of the folds and of the solver.
        console: Where progress bars are shown.

    Raises:
        UsageError: Folds that the set's classes cannot fill, or images too large to whiten; nothing was computed.
    """
    check_folds(data, folds)
    watch, device = Stopwatch(), chosen_device()
    with whitening(model, data, whiten):
        features = features_of(model, data, device, console)
    scores, unfinished = [], 0
    for train, test in tracked(_parts(data.labels, folds, seed), "fitting", folds, console, unit="SVMs"):
        svm = _svm(standardise, max_iter, seed)
        unfinished += not _converges(svm, features[train], data.labels[train])
        scores.append(per_cent(svm.score(features[test], data.labels[test])))
    return Transfer(
        data=data.name,
        split=data.split,
        source=data.source,
        count=len(data),
        image_size=data.image_size,
        classes=int((data.class_counts > 0).sum()),
        dimension=features.shape[1],
        whitened=whiten,
        standardised=standardise,
        folds=tuple(scores),
        accuracy=round(float(np.mean(scores)), 3),
        deviation=round(float(np.std(scores, ddof=1)), 3),
        unfinished=unfinished,
        provenance=watch.provenance(device, seed),
    )


def check_folds(data: ImageSet, folds: int) -> None:
    """Raises UsageError unless a set's images can be divided into folds, each class among all of them."""
    if folds < 2:
        raise UsageError(f"folds is {folds}: one fold is for testing, and at least one for training")
    counts = data.class_counts
    there = np.flatnonzero(counts)
    if len(there) < 2:
        raise UsageError(
            f"all images of {data.name} ({data.split}) are of the class {data.classes[there[0]]!r}: "
            "a classifier needs at least 2 classes"
        )
    rarest = there[counts[there].argmin()]
    if counts[rarest] < folds:
        raise UsageError(
            f"{data.name} ({data.split}): the class {data.classes[rarest]!r} has {counts[rarest]} images, too few for "
            f"{folds} folds; take fewer folds (--folds), more images (--limit, --split train) or other classes "
            "(--classes)"
        )


def features_of(
    model: Classifier, data: ImageSet, device: torch.device, console: Console | None = None
) -> NDArray[np.float32]:
    """What the model's last classifier would see of each image: (N, k).

    Raises:
        DataError: Features that are no numbers.
    """

    def seen(chosen: slice, images: Tensor) -> NDArray[np.float32]:
        return model.features(images).float().cpu().numpy()

    features = np.concatenate([found for _, found in computed(seen, model, data, device, "features", console)])
    if not np.isfinite(features).all():
        raise without_numbers(f"the features of this {model.name}")
    return features


def _parts(labels: NDArray[np.int64], folds: int, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    from sklearn.model_selection import StratifiedKFold

    return StratifiedKFold(folds, shuffle=True, random_state=seed).split(np.zeros(len(labels)), labels)


def _svm(standardise: bool, max_iter: int, seed: int) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    scaler = [StandardScaler()] if standardise else []
    return make_pipeline(*scaler, LinearSVC(C=C, dual="auto", max_iter=max_iter, random_state=seed))


def _converges(svm: Any, features: NDArray[np.float32], labels: NDArray[np.int64]) -> bool:
    """Fits an SVM; false if its solver was stopped before it was done."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is counted, and said once
        svm.fit(features, labels)
    return bool(svm[-1].n_iter_ < svm[-1].max_iter)
