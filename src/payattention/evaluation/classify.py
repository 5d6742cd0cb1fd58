"""Classification: the error, how sure that is, which classes are mistaken, and whether probabilities are honest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from rich.console import Console

from payattention.data import ImageSet
from payattention.data.same_classes import check_same_classes, numbered_as
from payattention.evaluation.batch_by_batch import looks
from payattention.evaluation.calibration import Reliability, reliability
from payattention.evaluation.confusion import ClassScores, Confusion, class_scores, confusion, most_often_mistaken
from payattention.evaluation.result import ClassResult, of_pictures
from payattention.models import Classifier
from payattention.models.prediction import Prediction, predictions
from payattention.system.machine import chosen_device
from payattention.system.provenance import Stopwatch
from payattention.system.reporting import Table, per_cent

_ALL, _WEAKEST = 10, 5  # classes that a terminal shows
_SCORES = ("recall", "precision", "f1")


@dataclass(frozen=True, kw_only=True)
class Classification(ClassResult):
    """Top-1 error in per cent, of all images and by class (NaN-free: classes without images are left out).

    Attributes:
        error: Of all images.
        error_interval: Its 95 % confidence interval by Wilson's score, from low to high: what other images of the same
            kind could have given.
        class_errors: Of each class that has images.
        class_scores: How each class is told.
        confusion: Which classes are taken for which.
        temperature: The model's, for its probabilities.
        calibration: How honest they are.
        ece_before: The expected calibration error, in per cent, without the temperature.
        predictions: What was said of each image, in the set's order, without those that were left out.
    """

    error: float
    error_interval: tuple[float, float]
    class_errors: Mapping[str, float]
    class_scores: Mapping[str, ClassScores]
    confusion: Confusion
    temperature: float
    calibration: Reliability
    ece_before: float
    predictions: Sequence[Prediction] = of_pictures()

    def report(self) -> Iterator[Table | str]:
        low, high = self.error_interval
        columns = ("data", "split", "images", "error %", "95 % interval (Wilson)")
        yield Table(columns, [(self.data, self.split, self.count, self.error, f"{low:.1f} ... {high:.1f}")])
        yield self._weakest()
        if pairs := most_often_mistaken(self.confusion):
            yield "most often mistaken: " + ", ".join(f"{true} for {said} ({n:,})" for true, said, n in pairs)
        before = "" if self.temperature == 1 else f"; {self.ece_before:.1f} % before it was calibrated"
        yield f"probabilities are off by {self.calibration.ece:.1f} % (expected calibration error{before})"

    def _weakest(self) -> Table:
        """All classes where they are few, else those with the lowest recall."""
        known = {name: scores for name, scores in self.class_scores.items() if scores.recall is not None}
        names, title = list(known), None
        if len(names) > _ALL:
            names = sorted(names, key=lambda name: known[name].recall or 0.0)[:_WEAKEST]
            title = f"the {_WEAKEST} of {len(known)} classes that are told worst"
        rows = [(name, known[name].count, *(_rounded(getattr(known[name], own)) for own in _SCORES)) for name in names]
        return Table(("class", "images", "recall %", "precision %", "F1 %"), rows, title)


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
    guesses, uncalibrated = np.zeros(len(data), np.int64), np.zeros(len(data))
    for chosen, look in looks(model, data, device, console):
        logits = look.logits.float().cpu()
        guesses[chosen] = logits.numpy().argmax(1)
        uncalibrated[chosen] = logits.softmax(1).amax(1).numpy()
        names = [data.name_of(number) for number in range(chosen.start, chosen.stop)]
        true = [data.classes[label] for label in data.labels[chosen]]
        said += predictions(model, logits, names, data.classes, true)
    wrong = guesses != data.labels
    confidences = np.array([one.probability for one in said])
    return Classification(
        data=data.name,
        split=data.split,
        source=data.source,
        count=len(data),
        error=per_cent(wrong.mean()),
        error_interval=wilson(int(wrong.sum()), len(data)),
        class_errors={
            name: per_cent(wrong[data.labels == label].mean())
            for label, name in enumerate(data.classes)
            if (data.labels == label).any()
        },
        class_scores=class_scores(data.labels, guesses, data.classes),
        confusion=confusion(data.labels, guesses, data.classes),
        temperature=model.temperature,
        calibration=reliability(confidences, ~wrong),
        ece_before=reliability(uncalibrated, ~wrong).ece,
        provenance=watch.provenance(device, seed),
        predictions=said,
        **asdict(difference),
    )


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 1)


def wilson(some: int, count: int) -> tuple[float, float]:
    """In per cent, where a share of so many lies (Wilson, 1927)."""
    from scipy.stats import binomtest

    found = binomtest(some, count).proportion_ci(0.95, method="wilson")
    return per_cent(found.low), per_cent(found.high)


def check_classes(model: Classifier, data: ImageSet) -> None:
    """Raises UsageError if a model cannot be measured on a data set by its classes."""
    check_same_classes(model.classes, model.config.num_classes, data.classes, data.name)
