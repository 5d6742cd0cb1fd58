"""The pointing game: does a map's peak fall on the object? (Zhang et al., 2016)

By the rules of `payattention.evaluation.metrics.pointing`; images without an object do not count. Beside the maps stand
two trivial baselines: the image's centre, and a uniform random point (exactly, not sampled).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from rich.console import Console
from torch import Tensor

from payattention.attention.maps import upsampled
from payattention.data import ImageSet
from payattention.data.catalogue import without_masks
from payattention.evaluation.batch_by_batch import looks
from payattention.evaluation.metrics.pointing import pointing_hits
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
        tolerance: Pixels around the object that still count.
        seed: Noted in the result.
        console: Where progress is shown.

    Raises:
        UsageError: A model without maps, or a set without masks.
        DataError: Logits that are no numbers.
    """
    if data.masks is None:
        raise without_masks(data.name)
    model.check_has_maps()
    watch, device = Stopwatch(), chosen_device()
    size = (data.images.shape[1], data.images.shape[2])
    trivial = _trivial(*size)
    hits: dict[str, list[Tensor]] = {name: [] for name in (*model.levels, "combined", *trivial)}
    for chosen, look in looks(model, data, device, console):
        truth = torch.from_numpy(data.masks[chosen])
        maps = {**look.maps, "combined": model.combined(look.maps)}
        on_grid = {name: upsampled(level.float().cpu(), size) for name, level in maps.items()}
        on_grid |= {name: level.expand(len(truth), -1, -1) for name, level in trivial.items()}
        for name, found in hits.items():
            found.append(pointing_hits(on_grid[name], truth, tolerance))  # NaN without an object
    shares = {name: per_cent(torch.cat(found).nanmean(), 2) for name, found in hits.items()}
    return Pointing(
        data=data.name,
        split=data.split,
        source=data.source,
        count=int(data.masks.any((1, 2)).sum()),
        tolerance=tolerance,
        hits=shares,
        provenance=watch.provenance(device, seed),
    )


def _trivial(height: int, width: int) -> dict[str, Float[Tensor, "1 h w"]]:
    """Maps that look at nothing: one that peaks at the centre, and one that peaks everywhere."""
    centre = torch.zeros(1, height, width)
    centre[0, height // 2, width // 2] = 1
    return {"image centre": centre, "random point": torch.ones(1, height, width)}
