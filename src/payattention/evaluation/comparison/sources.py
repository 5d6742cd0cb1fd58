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
from payattention.models.class_activation_map import ClassMapped
from payattention.posthoc import METHODS, Method, method
from payattention.posthoc.baselines import BASELINES

Kind = Literal["trained", "post-hoc", "trivial"]
COMBINED = "combined"
GAUSSIAN = "centred Gaussian"


class Source(NamedTuple):
    """Something that makes maps of images (n, channels, H, W): {row of the table: (n, h, w)}, on any grid, >= 0."""

    title: str
    kind: Kind
    maps: Callable[[Tensor], Mapping[str, Tensor]]
    costly: bool = False
    """Whether it takes many forward passes a picture."""
    caveat: Callable[[Tensor], str | None] | None = None
    """What to bear in mind of its maps of some images, in a line."""
    of_classes: Callable[[Tensor, Tensor], Mapping[str, Tensor]] | None = None
    """The maps of other classes (n,) than the predicted ones; None where they are the same whatever the class."""


def sources(
    model: Classifier, methods: Sequence[str] | None = None, seed: int = 0, baseline: str | None = None
) -> tuple[list[Source], tuple[str, ...]]:
    """All that can be compared on a model, and a line for each post-hoc method that cannot.

    Args:
        model: In evaluation mode.
        methods: Names of `payattention.posthoc.METHODS`, "fast" for all that take a forward pass or few, "all" for all;
            of these two, those that the model and the machine allow. By default "all".
        seed: Of the random maps.
        baseline: Of all methods that take pixels away; None for each one's own.

    Raises:
        UsageError: A method that was asked for by name and is unknown or impossible here, or an unknown baseline.
    """
    if baseline is not None:
        BASELINES[baseline]  # refuses an unknown one
    asked = ["all"] if methods is None else methods
    reasons = {name: method(name).missing(model) for name in _named(asked)}
    for name in asked:
        if (reason := reasons.get(name)) is not None:
            raise UsageError(reason)
    missing = tuple(reason for reason in reasons.values() if reason is not None)
    own = [Source("trained attention", "trained", partial(_trained, model))] if has_trained_maps(model) else []
    possible = [method(name) for name, reason in reasons.items() if reason is None]
    based = [found if found.baseline is None else found.on(baseline) for found in possible]
    after = [
        Source(
            found.title,
            "post-hoc",
            partial(_after_training, model, found),
            found.costly,
            None if found.caveat is None else partial(found.caveat, model),
            partial(_after_training, model, found) if found.of_class else None,
        )
        for found in based
    ]
    return [*own, *after, *_trivial(seed)], missing


def _named(methods: Sequence[str]) -> dict[str, None]:
    """The methods, each once, groups by their members."""
    groups = {"all": list(METHODS), "fast": [name for name, found in METHODS.items() if not found.costly]}
    return dict.fromkeys(name for asked in methods for name in groups.get(asked, [asked]))


def has_trained_maps(model: Classifier) -> bool:
    """Whether a network attends; the map of a CAM network is read out of it afterwards."""
    return bool(model.levels) and not isinstance(model, ClassMapped)


@torch.no_grad()
def _trained(model: Classifier, images: Tensor) -> dict[str, Tensor]:
    maps = model.attend(images).maps
    return {**{name: maps[name] for name in model.levels}, COMBINED: model.combined(maps)}


def _after_training(
    model: Classifier, found: Method, images: Tensor, classes: Tensor | None = None
) -> dict[str, Tensor]:
    """A method's maps, and the last two layers as one, as the trained levels are combined."""
    maps = found.maps(model, images, classes)
    if len(maps) == 1:
        return {found.title: next(iter(maps.values()))}
    rows = {f"{found.title} {layer}": values for layer, values in maps.items()}
    return {**rows, f"{found.title} {COMBINED}": combined(list(maps.values()))}


def _trivial(seed: int) -> list[Source]:
    random = torch.Generator().manual_seed(seed)
    kinds: dict[str, Callable[[int, int, int], Tensor]] = {
        "random": partial(random_maps, random=random),
        "all ones": all_ones,
        GAUSSIAN: centred_gaussian,
    }
    return [Source(name, "trivial", partial(_of_size, name, make)) for name, make in kinds.items()]


def _of_size(name: str, make: Callable[[int, int, int], Tensor], images: Tensor) -> dict[str, Tensor]:
    return {name: make(len(images), images.shape[2], images.shape[3])}
