"""Robustness: how many of a model's predictions an attack changes (paper, section 5.2 and figure 6).

The fooling rate is the share of images whose predicted class the attack changes, right or wrong as it was; lower is
more robust. The error is what remains of the accuracy: it counts images that were wrong from the start.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from rich.console import Console
from torch import Tensor

from payattention.data import ImageSet
from payattention.data.same_classes import numbered_as
from payattention.data.tensors import images_of, slices_of
from payattention.evaluation.attacks import PAPER_EPS, Attack, check_eps
from payattention.evaluation.classify import check_classes
from payattention.evaluation.result import ClassResult
from payattention.models import Classifier
from payattention.models.evaluating import evaluating
from payattention.models.prediction import check_logits
from payattention.system.machine import chosen_device
from payattention.system.names import check_known
from payattention.system.progress import length, tracked
from payattention.system.provenance import Stopwatch
from payattention.system.reporting import Table, per_cent

AWAY_FROM = ("predicted", "true")


@dataclass(frozen=True)
class Attacked:
    """One attack at one size: fooling rate and error, in per cent of all images."""

    attack: str
    eps: float
    fooling_rate: float
    error: float


@dataclass(frozen=True, kw_only=True)
class Robustness(ClassResult):
    """What attacks did to a model.

    Attributes:
        away_from: Whose class's cross-entropy was raised: the "predicted" or the "true" one's.
        clean_error: The error on the images as they are, in per cent.
        settings: Of each attack, by its name.
        attacks: One for each attack and size (eps, in steps of 8-bit pixels).
    """

    away_from: str
    clean_error: float
    settings: Mapping[str, Mapping[str, Any]]
    attacks: tuple[Attacked, ...]

    def report(self) -> Iterator[Table | str]:
        yield f"{self.data}, {self.split}: {self.count:,} images, error {self.clean_error} % without an attack"
        rows = [(row.attack, f"{row.eps:g}", row.fooling_rate, row.error) for row in self.attacks]
        yield Table(("attack", "eps (of 255)", "fooled %", "error %"), rows)


def attack(
    model: Classifier,
    data: ImageSet,
    attacks: Mapping[str, Attack],
    eps: Sequence[float] = PAPER_EPS,
    *,
    away_from: str = "predicted",
    seed: int = 0,
    console: Console | None = None,
) -> Robustness:
    """Attacks every image of a set, by each attack and at each size.

    Args:
        model: The model, which the attacks know to the last weight.
        data: A set with classes of the model's, by name; the images of others are left out.
        attacks: By the name that the result calls them.
        eps: The sizes.
        away_from: Whose class's cross-entropy an attack raises: the "predicted" or the "true" one's.
        seed: Of the attacks' random numbers.
        console: Where a progress bar is shown.

    Raises:
        UsageError: Sizes out of range, an unknown `away_from`, or a set with other classes.
        DataError: Logits that are no numbers.
    """
    check_away_from(away_from)
    check_eps(eps)
    check_classes(model, data)
    data, difference = numbered_as(data, model.classes)
    watch, device = Stopwatch(), chosen_device()
    clean = np.empty(len(data), np.int64)
    found = {(name, size): np.empty(len(data), np.int64) for name in attacks for size in eps}
    with torch.random.fork_rng(devices=[]), evaluating(model, device):
        torch.set_rng_state(torch.Generator().manual_seed(seed).get_state())
        for chosen in tracked(_slices(data, device), "attacking", len(data), console, count=length):
            images = images_of(data, chosen, device)
            predictions = predicted(model, images)
            clean[chosen] = predictions.cpu()
            labels = predictions if away_from == "predicted" else torch.from_numpy(data.labels[chosen]).to(device)
            for name, method in attacks.items():
                for size, attacked in zip(eps, method.versions(model, images, labels, eps), strict=True):
                    found[name, size][chosen] = predicted(model, attacked).cpu()
    return Robustness(
        data=data.name,
        split=data.split,
        source=data.source,
        count=len(data),
        away_from=away_from,
        clean_error=per_cent((clean != data.labels).mean()),
        settings={name: asdict(method) for name, method in attacks.items()},
        attacks=tuple(
            Attacked(name, size, per_cent((labels != clean).mean()), per_cent((labels != data.labels).mean()))
            for (name, size), labels in found.items()
        ),
        provenance=watch.provenance(device, seed),
        **asdict(difference),
    )


def check_away_from(away_from: str) -> None:
    """Raises UsageError for an unknown choice of the class to lead away from."""
    check_known("class to lead away from", AWAY_FROM, away_from)


@torch.no_grad()
def predicted(model: Classifier, images: Tensor) -> Int[Tensor, " n"]:
    """The class that a model sees in each image.

    Raises:
        DataError: Logits that are no numbers.
    """
    logits = model(images)
    check_logits(model, logits)
    return logits.argmax(1)


def _slices(data: ImageSet, device: torch.device) -> list[slice]:
    """A gradient keeps what every layer gave: an eighth of the usual batch."""
    size = -(-slices_of(data, device)[0].stop // 8)
    return [slice(start, min(start + size, len(data))) for start in range(0, len(data), size)]
