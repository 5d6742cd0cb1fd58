"""Are a model's probabilities those with which it is right? And the temperature that makes them so (Guo et al., 2017).

The expected calibration error puts pictures into 15 bins of equal width by the probability of their predicted class,
and takes the mean, over pictures, of how far a bin's mean probability lies from the share of its pictures that are told
right. Bins are open below and closed above, as in the paper.

Temperature scaling divides all logits by one number before the softmax. It is fitted on pictures that the model was not
trained on, by their negative log-likelihood, and never changes which class is the most probable one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from rich.console import Console
from torch import Tensor

from payattention.data import ImageSet
from payattention.data.same_classes import check_same_classes, numbered_as
from payattention.errors import DataError
from payattention.evaluation.batch_by_batch import looks
from payattention.evaluation.result import Result
from payattention.models import Classifier
from payattention.system.machine import chosen_device
from payattention.system.provenance import Stopwatch
from payattention.system.reporting import Table, per_cent

BINS = 15
_LOG_RANGE = (-12.0, 12.0)
"""Of temperatures: what does not lie in e**-12 ... e**12 is of logits that no network gives."""


@dataclass(frozen=True)
class Bin:
    """The pictures whose predicted class has a probability in `low` < p <= `high`; all but the count in per cent.

    Attributes:
        count: How many there are.
        confidence: Their mean probability; None where there are none.
        accuracy: The share of them that is told right.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Reliability:
    """How far probabilities are from what they say: the expected calibration error, in per cent, and its bins."""

    ece: float
    bins: tuple[Bin, ...]


def reliability(confidences: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"]) -> Reliability:
    """Of the probabilities of the predicted classes, and whether each was the true one."""
    edges = np.linspace(0, 1, BINS + 1)
    places = np.clip(np.digitize(confidences, edges, right=True) - 1, 0, BINS - 1)
    counts, confident, accurate = (
        np.bincount(places, weights, BINS) for weights in (np.ones(len(places)), confidences, right)
    )
    bins = tuple(
        Bin(
            per_cent(edges[k], 2),
            per_cent(edges[k + 1], 2),
            int(counts[k]),
            per_cent(confident[k] / counts[k]) if counts[k] else None,
            per_cent(accurate[k] / counts[k]) if counts[k] else None,
        )
        for k in range(BINS)
    )
    return Reliability(per_cent(np.abs(confident - accurate).sum() / len(places)), bins)


@dataclass(frozen=True, kw_only=True)
class Calibration(Result):
    """A temperature, and what it does on the pictures that it was fitted on.

    Attributes:
        temperature: Above 1 where the model was too sure of itself, below 1 where it was not sure enough.
        ece_before: Expected calibration error in per cent, as the network gives its probabilities.
        ece: The same with the temperature.
        nll_before: Mean negative log-likelihood of the true classes, in nats.
        nll: The same with the temperature.
    """

    temperature: float
    ece_before: float
    ece: float
    nll_before: float
    nll: float

    def report(self) -> Iterator[Table | str]:
        yield f"calibrated on {self.count:,} pictures of {self.data}, {self.split}"
        columns = ("", "temperature", "calibration error %", "negative log-likelihood")
        rows = [("before", 1.0, self.ece_before, self.nll_before), ("after", self.temperature, self.ece, self.nll)]
        yield Table(columns, rows)


def calibrate(
    model: Classifier, data: ImageSet, seed: int | None = None, *, console: Console | None = None
) -> Calibration:
    """Fits a temperature; the model itself keeps the one that it has.

    Args:
        model: Whose probabilities are to be honest.
        data: Pictures that it was not trained on, and that nothing will be measured on.
        seed: Noted in the result.
        console: Where progress is shown.

    Raises:
        UsageError: The set has none of the model's classes.
        DataError: Logits that are no numbers, or pictures that no temperature is best for.
    """
    check_same_classes(model.classes, model.config.num_classes, data.classes, data.name)
    data, _ = numbered_as(data, model.classes)
    watch, device = Stopwatch(), chosen_device()
    logits = torch.cat([look.logits.double().cpu() for _, look in looks(model, data, device, console)])
    labels = torch.from_numpy(data.labels)
    temperature = best_temperature(logits, labels)
    before, after = (_measured(logits / divisor, labels) for divisor in (1.0, temperature))
    return Calibration(
        data=data.name,
        split=data.split,
        source=data.source,
        count=len(data),
        temperature=temperature,
        ece_before=before[0],
        ece=after[0],
        nll_before=before[1],
        nll=after[1],
        provenance=watch.provenance(device, seed),
    )


def best_temperature(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> float:
    """The temperature whose probabilities make the labels most likely, to four digits.

    The likelihood is convex in 1 / temperature, so there is one best, unless it lies at an end.

    Raises:
        DataError: It does: all pictures are told right, or true classes have no higher logits than others.
    """
    from scipy.optimize import minimize_scalar

    count, of_truth = len(labels), logits.gather(1, labels[:, None])[:, 0]
    if (of_truth >= logits.amax(1)).all() and (logits.amax(1) > logits.amin(1)).any():
        raise DataError(
            f"all {count:,} pictures to calibrate on are told right: the surer the better, so no temperature can be "
            "fitted; calibrate on more pictures, or on harder ones"
        )
    if (of_truth - logits.mean(1)).mean() <= 0:
        raise DataError(
            f"on the {count:,} pictures to calibrate on the model gives their own classes no more than any others: no "
            "temperature makes its probabilities honest; does it know these classes?"
        )

    def loss(log: float) -> float:
        return float(torch.nn.functional.cross_entropy(logits / np.exp(log), labels))

    found = minimize_scalar(loss, bounds=_LOG_RANGE, method="bounded", options={"xatol": 1e-6})
    return float(f"{np.exp(found.x):.4g}")


def _measured(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> tuple[float, float]:
    """Expected calibration error in per cent, and mean negative log-likelihood."""
    surest, said = logits.softmax(1).max(1)
    nll = float(torch.nn.functional.cross_entropy(logits, labels))
    return reliability(surest.numpy(), (said == labels).numpy()).ece, round(nll, 4)
