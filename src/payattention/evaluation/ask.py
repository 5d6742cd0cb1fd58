"""One picture asks, another answers: how do the maps of a picture change under another picture's query? (paper, A.5)

The local features are the target's; the global feature g that asks where to look is the target's own, then that of the
query picture.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from payattention.errors import DataError
from payattention.evaluation.query import total_variation
from payattention.explaining.explanation import as_input, check_size
from payattention.models import Classifier
from payattention.models.modes import evaluating
from payattention.system.machine import device_of

_TINY = 1e-8


@dataclass(frozen=True)
class Answer:
    """A target picture under two queries, by level.

    Attributes:
        own: The maps under its own query, float32 (h, w).
        asked: The maps under the query picture's.
        change: By how much they change, (asked - own) / (own + 1e-8): 0.5 is half as much again.
        distance: Total variation between the two: 0 for equal maps, 1 for maps with nothing in common.
        label: The class predicted under its own query.
        asked_label: The class predicted under the query picture's.
    """

    own: Mapping[str, NDArray[np.float32]]
    asked: Mapping[str, NDArray[np.float32]]
    change: Mapping[str, NDArray[np.float32]]
    distance: Mapping[str, float]
    label: str
    asked_label: str


@torch.inference_mode()
def ask(model: Classifier, query: Image.Image, target: Image.Image, *, size: int | None = None) -> Answer:
    """Compares a target's maps under its own and under another picture's query.

    Args:
        model: A model with a query.
        query: RGB.
        target: RGB.
        size: Shorter side of both as the model sees them, in pixels; by default that of its training.

    Raises:
        UsageError: A model without a query, or a size too small for it.
        DataError: Maps with NaN or infinite values.
    """
    check_can_ask(model, size)
    with evaluating(model, device_of(model)) as device:
        asking, answering = (as_input(picture, size or model.image_size).to(device) for picture in (query, target))
        own, asked = model.attend(answering), model.attend(answering, asking)
    before, after = ({name: look.maps[name].float().cpu() for name in model.levels} for look in (own, asked))
    for name in model.levels:
        if not (before[name].isfinite().all() and after[name].isfinite().all()):
            raise DataError(f"{model.name}'s map {name} of this picture holds NaN or infinite values")
    change = {name: relative_change(before[name], after[name]) for name in model.levels}
    classes = model.classes or tuple(map(str, range(own.logits.shape[1])))
    return Answer(
        own=_arrays(before),
        asked=_arrays(after),
        change=_arrays(change),
        distance={name: total_variation(before[name], after[name]).item() for name in model.levels},
        label=classes[int(own.logits.argmax())],
        asked_label=classes[int(asked.logits.argmax())],
    )


def relative_change(own: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
    """By how much a map changes, as a proportion of what it was."""
    return (asked - own) / (own + _TINY)


def check_can_ask(model: Classifier, size: int | None = None) -> None:
    """Raises UsageError for a model without a query, or a size that it cannot look at."""
    model.check_has_query()
    if size is not None:
        check_size(model, size)


def is_blind(model: Classifier) -> bool:
    """Whether no query can change anything that a model gives (docs/the-query.md)."""
    slim = copy.deepcopy(model)
    slim.drop_dead()
    return slim.query_dim == 0


def _arrays(maps: Mapping[str, torch.Tensor]) -> dict[str, NDArray[np.float32]]:
    return {name: level[0].numpy() for name, level in maps.items()}
