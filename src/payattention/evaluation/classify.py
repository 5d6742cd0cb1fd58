"""Classification error."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from rich.console import Console

from payattention.data import ImageSet
from payattention.data.same_classes import check_same_classes, numbered_as
from payattention.evaluation.batch_by_batch import looks
from payattention.evaluation.result import ClassResult, of_pictures
from payattention.models import Classifier
from payattention.models.prediction import Prediction, predictions
from payattention.system.machine import chosen_device
from payattention.system.provenance import Stopwatch
from payattention.system.reporting import Table, per_cent


@dataclass(frozen=True, kw_only=True)
class Classification(ClassResult):
    """Top-1 error in per cent, of all images and by class (NaN-free: classes without images are left out).

    Attributes:
        error: Of all images.
        class_errors: Of each class that has images.
        predictions: What was said of each image, in the set's order, without those that were left out.
    """

    error: float
    class_errors: Mapping[str, float]
    predictions: Sequence[Prediction] = of_pictures()

    def report(self) -> Iterator[Table | str]:
        yield Table(("data", "split", "images", "error %"), [(self.data, self.split, self.count, self.error)])


def classify(
    model: Classifier, data: ImageSet, seed: int | None = None, *, console: Console | None = None
) -> Classification:
    """Measures the top-1 error of a model on a data set; a console shows how far it is.

    Classes are found by their names: the images of one that the model does not know are left out, and counted.

    Raises:
        UsageError: The set has none of the model's classes, or another number where the model knows no names.
        DataError: Logits that are no numbers.
    """
    check_classes(model, data)
    data, difference = numbered_as(data, model.classes)
    watch, device = Stopwatch(), chosen_device()
    said: list[Prediction] = []
    for chosen, look in looks(model, data, device, console):
        names = [data.name_of(number) for number in range(chosen.start, chosen.stop)]
        true = [data.classes[label] for label in data.labels[chosen]]
        said += predictions(model, look.logits, names, data.classes, true)
    wrong = np.array([one.wrong for one in said])
    return Classification(
        data=data.name,
        split=data.split,
        source=data.source,
        count=len(data),
        error=per_cent(wrong.mean()),
        class_errors={
            name: per_cent(wrong[data.labels == label].mean())
            for label, name in enumerate(data.classes)
            if (data.labels == label).any()
        },
        provenance=watch.provenance(device, seed),
        predictions=said,
        **asdict(difference),
    )


def check_classes(model: Classifier, data: ImageSet) -> None:
    """Raises UsageError if a model cannot be measured on a data set by its classes."""
    check_same_classes(model.classes, model.config.num_classes, data.classes, data.name)
