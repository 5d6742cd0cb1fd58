"""Where maps come from: the network's own attention, post-hoc methods, and maps that look at nothing."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from payattention.attention.maps import combined
from payattention.errors import UsageError
from payattention.evaluation.comparison.trivial import all_ones, centred_gaussian, random_maps
from payattention.models import Classifier
from payattention.models.class_map import ClassMapped
from payattention.posthoc import METHODS, Method, method

Kind = Literal["trained", "post-hoc", "trivial"]
COMBINED = "combined"


class Source(NamedTuple):
    """Something that makes maps of images (n, channels, H, W): {row of the table: (n, h, w)}, on any grid, >= 0."""

    title: str
    kind: Kind
    maps: Callable[[Tensor], Mapping[str, Tensor]]
    costly: bool = False
    """Whether it takes many forward passes a picture."""


def sources(
    model: Classifier, methods: Sequence[str] | None = None, seed: int = 0
) -> tuple[list[Source], tuple[str, ...]]:
    """All that can be compared on a model, and a line for each post-hoc method that cannot.

    Args:
        model: In evaluation mode.
        methods: Names of `payattention.posthoc.METHODS`; by default all that the model and the machine allow.
        seed: Of the random maps.

    Raises:
        UsageError: A method that was asked for by name and is unknown or impossible here.
    """
    reasons = {name: method(name).missing(model) for name in (METHODS if methods is None else methods)}
    missing = tuple(reason for reason in reasons.values() if reason is not None)
    if missing and methods is not None:
        raise UsageError(missing[0])
    own = [Source("trained attention", "trained", partial(_trained, model))] if has_trained_maps(model) else []
    after = [
        Source(method(name).title, "post-hoc", partial(_after_training, model, method(name)), method(name).costly)
        for name, reason in reasons.items()
        if reason is None
    ]
    return [*own, *after, *_trivial(seed)], missing


def has_trained_maps(model: Classifier) -> bool:
    """Whether a network attends; the map of a CAM network is read out of it afterwards."""
    return bool(model.levels) and not isinstance(model, ClassMapped)


@torch.no_grad()
def _trained(model: Classifier, images: Tensor) -> dict[str, Tensor]:
    maps = model.attend(images).maps
    return {**{name: maps[name] for name in model.levels}, COMBINED: model.combined(maps)}


def _after_training(model: Classifier, found: Method, images: Tensor) -> dict[str, Tensor]:
    """A method's maps, and the last two layers as one, as the trained levels are combined."""
    maps = found.maps(model, images, None)
    if len(maps) == 1:
        return {found.title: next(iter(maps.values()))}
    rows = {f"{found.title} {layer}": values for layer, values in maps.items()}
    return {**rows, f"{found.title} {COMBINED}": combined(list(maps.values()))}


def _trivial(seed: int) -> list[Source]:
    random = torch.Generator().manual_seed(seed)
    kinds: dict[str, Callable[[int, int, int], Tensor]] = {
        "random": partial(random_maps, random=random),
        "all ones": all_ones,
        "centred Gaussian": centred_gaussian,
    }
    return [Source(name, "trivial", partial(_of_size, name, make)) for name, make in kinds.items()]


def _of_size(name: str, make: Callable[[int, int, int], Tensor], images: Tensor) -> dict[str, Tensor]:
    return {name: make(len(images), images.shape[2], images.shape[3])}
