"""What each column says of some pictures' maps: all metrics, those that are asked for among them."""

from collections.abc import Callable, Collection, Mapping
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from payattention.data import ImageSet
from payattention.data.tensors import as_images
from payattention.evaluation.comparison.sources import Source
from payattention.evaluation.metrics import (
    Removals,
    box_overlaps,
    energy_inside,
    entropy,
    faithfulness_correlation,
    gini,
    infidelity,
    jaccard,
    max_sensitivity,
    otsu_masks,
    perturbation_areas,
    pixel_average_precision,
    pointing_hits,
    random_pixels,
    random_squares,
    relevance_rank_accuracy,
    removals,
    road,
    roc_auc,
    value_counts,
)
from payattention.models import Classifier

STEPS = 16
"""Parts that a picture's pixels are divided into for deletion and insertion."""


class Batch:
    """Some pictures with their objects, and what the network says of them: asked once, whatever the maps.

    Attributes:
        images: (n, channels, H, W), on the device.
        truth: bool (n, H, W), on the CPU.
    """

    def __init__(self, model: Classifier, pictures: ImageSet, device: torch.device) -> None:
        self.model = model
        self.images = as_images(np.asarray(pictures.images), device)
        self.truth = torch.from_numpy(np.asarray(pictures.masks))

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        return self.model(images).float().softmax(1)

    @cached_property
    def labels(self) -> Tensor:
        """The predicted classes (n,)."""
        return self.probabilities(self.images).argmax(1)

    @cached_property
    def without_squares(self) -> Removals:
        return self._without(random_squares)

    @cached_property
    def without_pixels(self) -> Removals:
        return self._without(random_pixels)

    def _without(self, parts: Callable[[int, int], Tensor]) -> Removals:
        height, width = self.images.shape[2:]
        return removals(self.probabilities, self.images, self.labels, parts(height, width))


def of_few_passes(maps: Tensor, batch: Batch, tolerance: int, further: Collection[str]) -> dict[str, Tensor]:
    """The columns that hold maps (n, H, W) against masks, by name."""
    maps, truth = maps.cpu(), batch.truth
    return {
        "pointing": pointing_hits(maps, truth, tolerance),
        "energy": energy_inside(maps, truth),
        "jaccard": jaccard(otsu_masks(maps), truth),
        "average_precision": pixel_average_precision(maps, truth),
        "entropy": entropy(maps),
        **{name: measure(maps, truth) for name, measure in _ON_OBJECTS.items() if name in further},
    }


def of_many_passes(maps: Tensor, batch: Batch, further: Collection[str]) -> dict[str, Tensor]:
    """The columns that ask the network, of the predicted class, and others that take as long, by name."""
    maps = maps.to(batch.images)
    areas = perturbation_areas(batch.probabilities, batch.images, batch.labels, maps, STEPS)
    return {
        **areas._asdict(),
        **{name: measure(maps, batch) for name, measure in _ON_THE_NETWORK.items() if name in further},
    }


def of_a_source(source: Source, batch: Batch, further: Collection[str]) -> dict[str, dict[str, Tensor]]:
    """The columns that ask for maps of other pictures, by name and row."""
    if "sensitivity" not in further:
        return {}
    of_classes = source.of_classes

    def explain(images: Tensor) -> Mapping[str, Tensor]:
        """Of the class that was predicted, whatever the noise makes of it."""
        return source.maps(images) if of_classes is None else of_classes(images, batch.labels)

    return {"sensitivity": max_sensitivity(explain, batch.images)}


_ON_OBJECTS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "roc_auc": roc_auc,
    "rank_accuracy": relevance_rank_accuracy,
    "pooled_average_precision": lambda maps, truth: value_counts(maps, truth).sum(0, keepdim=True),
    "gini": lambda maps, truth: gini(maps),
}
_ON_THE_NETWORK: Mapping[str, Callable[[Tensor, Batch], Tensor]] = {
    "box_accuracy": lambda maps, batch: box_overlaps(maps.cpu(), batch.truth),
    "road": lambda maps, batch: road(batch.probabilities, batch.images, batch.labels, maps).score,
    "infidelity": lambda maps, batch: infidelity(maps, batch.without_squares),
    "faithfulness": lambda maps, batch: faithfulness_correlation(maps, batch.without_pixels),
}
