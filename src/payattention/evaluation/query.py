"""How much the query matters: do the maps change when another picture asks?

The distance between two maps is their total variation, half the sum of |a_i - b_i|: 0 for equal maps, 1 for maps with
nothing in common. Maps that need not sum to 1 (sigmoid) are first scaled to do so.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from rich.console import Console
from torch import Tensor

from payattention.data import ImageSet
from payattention.errors import UsageError
from payattention.evaluation.looks import computed
from payattention.models import Classifier, Look
from payattention.system.machine import chosen_device
from payattention.system.provenance import Provenance, Stopwatch


@dataclass(frozen=True)
class QueryEffect:
    """Mean total-variation distance between an image's maps under its own query and under another image's.

    `changed` is the share of images, in per cent, whose predicted class the other query changes.
    """

    data: str
    split: str
    count: int
    distance: Mapping[str, float]
    changed: float
    provenance: Provenance


def query_effect(
    model: Classifier, data: ImageSet, seed: int | None = None, *, console: Console | None = None
) -> QueryEffect:
    """Gives each image of a set the query of the next one of another class (of the next one, if there is none).

    Raises:
        UsageError: A model without a query, or a single image.
    """
    if not model.query_dim:
        raise UsageError(f"{model.name} has no query that could be exchanged; take one of the attention models")
    if len(data) < 2:
        raise UsageError(f"{data.name} has a single image in its {data.split} split: there is no other to ask")
    watch, device = Stopwatch(), chosen_device()

    def ask(chosen: slice, images: Tensor) -> Tensor:
        return model.query_of(images)

    own = torch.cat([query for _, query in computed(ask, model, data, device, "queries", console)])
    foreign = own[_partners(torch.from_numpy(data.labels))]

    def under_both(chosen: slice, images: Tensor) -> tuple[Look, Look]:
        return model.attend(images, own[chosen]), model.attend(images, foreign[chosen])

    distances: dict[str, list[Tensor]] = {name: [] for name in model.levels}
    changed = []
    for _, (mine, theirs) in computed(under_both, model, data, device, "asking", console):
        changed.append(mine.logits.argmax(1) != theirs.logits.argmax(1))
        for name in model.levels:
            distances[name].append(total_variation(mine.maps[name], theirs.maps[name]))
    return QueryEffect(
        data=data.name,
        split=data.split,
        count=len(data),
        distance={name: round(torch.cat(found).mean().item(), 6) for name, found in distances.items()},
        changed=round(100 * torch.cat(changed).float().mean().item(), 3),
        provenance=watch.provenance(device, seed),
    )


def total_variation(a: Float[Tensor, "n h w"], b: Float[Tensor, "n h w"]) -> Float[Tensor, "n"]:
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
