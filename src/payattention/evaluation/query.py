"""One picture asks, another answers: how do maps change under another picture's query? (paper, A.5)

The local features are the target's; the global feature g that asks where to look is the target's own, then that of the
query picture. `ask` tells it of two pictures, `query_effect` of a whole set.

The distance between two maps is their total variation, half the sum of |a_i - b_i|: 0 for equal maps, 1 for maps with
nothing in common. Maps that need not sum to 1 (sigmoid) are first scaled to do so.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from torch import Tensor

from payattention.data import ImageSet
from payattention.errors import UsageError, broken_map
from payattention.evaluation.batch_by_batch import computed
from payattention.evaluation.result import Result
from payattention.explaining.inputs import as_input, check_size
from payattention.models import Classifier, Look
from payattention.models.evaluating import evaluating
from payattention.pictures.channels import check_channels
from payattention.system.machine import chosen_device, device_of
from payattention.system.provenance import Stopwatch
from payattention.system.reporting import Table, per_cent

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
        asking, answering = (as_input(model, picture, size).to(device) for picture in (query, target))
        own, asked = model.attend(answering), model.attend(answering, asking)
    before, after = ({name: look.maps[name].float().cpu() for name in model.levels} for look in (own, asked))
    for name in model.levels:
        if not (before[name].isfinite().all() and after[name].isfinite().all()):
            raise broken_map(model.name, name, "this picture")
    change = {name: relative_change(before[name], after[name]) for name in model.levels}
    classes = model.class_names(own.logits.shape[1])
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
    check_channels(model.in_channels)
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


@dataclass(frozen=True, kw_only=True)
class QueryEffect(Result):
    """Mean total-variation distance between an image's maps under its own query and under another image's.

    `changed` is the share of images, in per cent, whose predicted class the other query changes.
    """

    distance: Mapping[str, float]
    changed: float

    def report(self) -> Iterator[Table | str]:
        title = f"{self.data}, {self.split}: how far another picture's query moves the maps of {self.count:,} images"
        yield Table(("map", "total variation, 0 ... 1"), self.distance.items(), title)
        yield f"the predicted class changes in {self.changed} % of them"


def query_effect(
    model: Classifier, data: ImageSet, seed: int | None = None, *, console: Console | None = None
) -> QueryEffect:
    """Gives each image of a set the query of the next one of another class (of the next one, if there is none).

    Raises:
        UsageError: A model without a query, or a single image.
    """
    model.check_has_query()
    if len(data) < 2:
        raise UsageError(f"{data.name} has a single image in its {data.split} split: there is no other to ask")
    watch, device = Stopwatch(), chosen_device()

    def query_of(chosen: slice, images: Tensor) -> Tensor:
        return model.query_of(images)

    own = torch.cat([query for _, query in computed(query_of, model, data, device, "queries", console)])
    foreign = own[_partners(torch.from_numpy(data.labels))]

    def under_both(chosen: slice, images: Tensor) -> tuple[Look, Look]:
        return model.attend(images, own[chosen]), model.attend(images, foreign[chosen])

    distances: dict[str, list[Tensor]] = {name: [] for name in model.levels}
    changed = []
    for _, (mine, theirs) in computed(under_both, model, data, device, "asking", console):
        changed.append(mine.logits.argmax(1) != theirs.logits.argmax(1))
        for name in model.levels:
            distances[name].append(total_variation(mine.maps[name].float(), theirs.maps[name].float()))
    return QueryEffect(
        data=data.name,
        split=data.split,
        source=data.source,
        count=len(data),
        distance={name: round(torch.cat(found).mean().item(), 6) for name, found in distances.items()},
        changed=per_cent(torch.cat(changed).float().mean()),
        provenance=watch.provenance(device, seed),
    )


def total_variation(a: Float[Tensor, "n h w"], b: Float[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """Half the L1 distance of each pair of maps, scaled to sum to 1."""
    p, q = (maps / maps.sum((1, 2), keepdim=True) for maps in (a, b))
    return (p - q).abs().sum((1, 2)) / 2


def _partners(labels: Tensor) -> Tensor:
    """For each image the next one, around the end, that has another label."""
    n = len(labels)
    partners = (torch.arange(n) + 1) % n
    for k in range(n):
        for step in range(1, n):
            if labels[(k + step) % n] != labels[k]:
                partners[k] = (k + step) % n
                break
    return partners
