"""Direct transfer: a model's own prediction on another data set that shares classes with its own (paper, table 3).

CIFAR-10 and STL-10 share nine classes under slightly different names; STL-10's monkey is none of CIFAR-10's classes,
and CIFAR-10's frog none of STL-10's. The paper counts the two sets of classes as one. Here both readings are given:
over the images of shared classes, and over all images, where a class that the model does not know is never right.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from payattention.data import ImageSet
from payattention.data.same_classes import numbers_among
from payattention.errors import UsageError
from payattention.evaluation.batch_by_batch import looks
from payattention.evaluation.result import Result
from payattention.evaluation.whitening import whitening
from payattention.models import Classifier
from payattention.system.machine import chosen_device
from payattention.system.provenance import Stopwatch
from payattention.system.reporting import Table, per_cent


@dataclass(frozen=True, kw_only=True)
class DirectTransfer(Result):
    """Accuracy in per cent of a model's own prediction, among all the classes that it knows, on another data set.

    Attributes:
        image_size: Their side in pixels.
        whitened: Whether the images were whitened by their own statistics.
        shared: The set's classes that the model knows, by the set's names, each with the model's.
        unknown: The set's classes that it does not know.
        shared_count: How many images the shared classes have.
        accuracy: Over all images; those of an unknown class are never right.
        shared_accuracy: Over the images of shared classes.
        class_accuracies: Of each shared class.
    """

    image_size: int
    whitened: bool
    shared: Mapping[str, str]
    unknown: tuple[str, ...]
    shared_count: int
    accuracy: float
    shared_accuracy: float
    class_accuracies: Mapping[str, float]

    def report(self) -> Iterator[Table | str]:
        yield f"{self.data}, {self.split} at {self.image_size} px: the model's own prediction"
        rows = [
            (f"{len(self.shared)} shared classes", self.shared_count, self.shared_accuracy),
            ("all", self.count, self.accuracy),
        ]
        yield Table(("images of", "images", "accuracy %"), rows)
        classes = [(name, self.shared[name], share) for name, share in self.class_accuracies.items()]
        yield Table(("class", "the model's name", "accuracy %"), classes)
        if self.unknown:
            yield f"unknown to the model, so never right: {', '.join(self.unknown)}"


def direct_transfer(
    model: Classifier, data: ImageSet, *, whiten: bool = False, console: Console | None = None
) -> DirectTransfer:
    """Measures a model on another set's images, whose classes are matched to its own by name.

    Args:
        model: The model.
        data: Any labelled set that shares a class with it.
        whiten: Whether to whiten the images by their own statistics, in place of the model's normalisation.
        console: Where a progress bar is shown.

    Raises:
        UsageError: A model that does not know its classes' names, no shared class, or images too large to whiten.
        DataError: Logits that are no numbers.
    """
    shared = shared_classes(model, data)
    watch, device = Stopwatch(), chosen_device()
    numbers = numbers_among(data.classes, model.classes)
    wanted = numbers[data.labels]  # the right answer in the model's numbers, -1 where it has none
    right = np.zeros(len(data), np.bool_)
    with whitening(model, data, whiten):
        for chosen, look in looks(model, data, device, console):
            right[chosen] = look.logits.argmax(1).cpu().numpy() == wanted[chosen]
    known = wanted >= 0
    return DirectTransfer(
        data=data.name,
        split=data.split,
        source=data.source,
        count=len(data),
        image_size=data.image_size,
        whitened=whiten,
        shared=shared,
        unknown=tuple(name for name in data.classes if name not in shared),
        shared_count=int(known.sum()),
        accuracy=per_cent(right.mean()),
        shared_accuracy=per_cent(right[known].mean()),
        class_accuracies={
            name: per_cent(right[data.labels == label].mean())
            for label, name in enumerate(data.classes)
            if name in shared and (data.labels == label).any()
        },
        provenance=watch.provenance(device),
    )


def check_names(model: Classifier) -> None:
    """Raises UsageError for a model that does not know what its classes are called."""
    if not model.classes:
        raise UsageError("the model does not know the names of its classes, by which another set's could be found")


def shared_classes(model: Classifier, data: ImageSet) -> dict[str, str]:
    """The set's classes that the model knows, each with the model's name for it; capitals do not matter.

    Raises:
        UsageError: There are none, or none with an image.
    """
    check_names(model)
    numbers = numbers_among(data.classes, model.classes)
    shared = {name: model.classes[k] for name, k in zip(data.classes, numbers, strict=True) if k >= 0}
    there = [data.classes[label] for label in np.flatnonzero(data.class_counts)]
    if not any(name in shared for name in there):
        raise UsageError(
            f"the images of {data.name} are of no class that the model knows (it knows {', '.join(model.classes[:10])}"
            f"{', ...' if len(model.classes) > 10 else ''}): leave out --direct to train a linear SVM on its features"
        )
    return shared
