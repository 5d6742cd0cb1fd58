"""The pointing game: does a map's peak fall on the object? (Zhang et al., 2016)

Higher is better. A hit is a peak within a tolerance, in pixels, of the object's mask; images without an object do
not count. Beside the maps stand two trivial baselines: the image's centre, and a uniform random point (exactly, not
sampled).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from rich.console import Console
from torch import Tensor

from payattention.attention.maps import peaks, upsampled
from payattention.data import ImageSet
from payattention.errors import UsageError
from payattention.evaluation.looks import looks
from payattention.evaluation.metrics.pointing import dilated, hit
from payattention.evaluation.result import Result
from payattention.models import Classifier
from payattention.system.machine import chosen_device
from payattention.system.provenance import Stopwatch
from payattention.system.reporting import Table, per_cent


@dataclass(frozen=True, kw_only=True)
class Pointing(Result):
    """Share of images, in per cent, whose point falls on the object: by map, for the centre, for a random point."""

    tolerance: int
    hits: Mapping[str, float]

    def report(self) -> Iterator[Table | str]:
        title = f"peak within {self.tolerance} px of the object, % of {self.count:,} images"
        yield Table(("map", "hits %"), self.hits.items(), title)


def pointing(
    model: Classifier,
    data: ImageSet,
    tolerance: int = 2,
    seed: int | None = None,
    *,
    console: Console | None = None,
) -> Pointing:
    """Plays the pointing game with each level's map and the combined one.

    Args:
        model: A model with maps.
        data: A set with masks.
        tolerance: Pixels around the mask that still count.
        seed: Noted in the result.
        console: Where progress is shown.

    Raises:
        UsageError: A model without maps, or a set without masks.
        DataError: Logits that are no numbers.
    """
    if data.masks is None:
        raise UsageError(f"{data.name} has no object masks, so there is nothing to point at")
    model.check_has_maps()
    watch, device = Stopwatch(), chosen_device()
    size = (data.images.shape[1], data.images.shape[2])
    targets = dilated(torch.from_numpy(data.masks), tolerance)
    there = targets.flatten(1).any(1)
    hits: dict[str, list[Tensor]] = {name: [] for name in (*model.levels, "combined")}
    for chosen, look in looks(model, data, device, console):
        maps = {**look.maps, "combined": model.combined(look.maps)}
        for name, level in maps.items():
            points = peaks(upsampled(level.float().cpu(), size))
            hits[name].append(hit(points, targets[chosen]))
    shares = {name: _share(torch.cat(found)[there]) for name, found in hits.items()}
    centre = torch.tensor([[size[0] // 2, size[1] // 2]]).expand(len(data), 2)
    shares["image centre"] = _share(hit(centre, targets)[there])
    shares["random point"] = _share(targets[there])
    return Pointing(
        data=data.name,
        split=data.split,
        source=data.source,
        count=int(there.sum()),
        tolerance=tolerance,
        hits=shares,
        provenance=watch.provenance(device, seed),
    )


def _share(found: Bool[Tensor, "..."]) -> float:
    return per_cent(found.float().mean(), 2)
