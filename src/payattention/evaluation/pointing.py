"""Where maps look: does a map's peak fall on the object, and how much of its mass, also where the class is wrong?

The peak by the pointing game (Zhang et al., 2016), the mass by its energy (Wang et al., 2020): by the rules of
`payattention.evaluation.metrics`; images without an object do not count. Beside the maps stand two trivial baselines:
the image's centre, and a uniform random point (exactly, not sampled).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from payattention.attention.maps import upsampled
from payattention.data import ImageSet
from payattention.data.catalogue import without_masks
from payattention.data.same_classes import numbers_among
from payattention.evaluation.batch_by_batch import looks
from payattention.evaluation.metrics.mass import energy_inside
from payattention.evaluation.metrics.pointing import pointing_hits
from payattention.evaluation.result import Result
from payattention.models import Classifier
from payattention.system.machine import chosen_device
from payattention.system.provenance import Stopwatch
from payattention.system.reporting import Table, per_cent

COMBINED = "combined"


@dataclass(frozen=True, kw_only=True)
class Pointing(Result):
    """By map, for the centre, for a random point; in per cent.

    Attributes:
        tolerance: Pixels around the object that still count.
        hits: Share of images whose point falls on the object.
        energy: Share of a map's mass that lies on the object, the mean over images.
        by_answer: The combined map's energy where the class is told right and where it is told wrong; None where
            either has fewer than two images.
    """

    tolerance: int
    hits: Mapping[str, float]
    energy: Mapping[str, float]
    by_answer: "ByAnswer | None"

    def report(self) -> Iterator[Table | str]:
        yield (
            f"of {self.count:,} images with an object: peaks within {self.tolerance} px of it (hits), and the share of "
            "a map that lies on it (energy)"
        )
        rows = [(name, share, self.energy[name]) for name, share in self.hits.items()]
        yield Table(("map", "hits %", "energy %"), rows)
        if self.by_answer is not None:
            yield str(self.by_answer)


@dataclass(frozen=True)
class ByAnswer:
    """A map's energy on the object, in per cent, where a model is right and where it is wrong.

    Attributes:
        right: The mean over images whose class is told right.
        wrong: The mean over the others.
        right_count: How many those are.
        wrong_count: How many these are.
        difference: The first less the second.
        interval: Its 95 % confidence interval by Welch's t, from low to high.
    """

    right: float
    wrong: float
    right_count: int
    wrong_count: int
    difference: float
    interval: tuple[float, float]

    def __str__(self) -> str:
        low, high = self.interval
        more = "more" if self.difference >= 0 else "less"
        sign = 1 if self.difference >= 0 else -1
        interval = " ... ".join(f"{end:.1f}" for end in sorted((sign * low, sign * high)))
        return (
            f"of the combined map {self.right:.1f} % lies on the object where the class is right "
            f"({self.right_count:,} images), {self.wrong:.1f} % where it is wrong ({self.wrong_count:,}): "
            f"{abs(self.difference):.1f} {more} where it is right (95 % interval {interval}, Welch)"
        )

    @classmethod
    def of(cls, energies: NDArray[np.float32], right: NDArray[np.bool_]) -> "ByAnswer | None":
        """Of energies (n,), 0 ... 1, and whether each image's class is told right."""
        from scipy.stats import t

        one, other = (100 * energies[which].astype(np.float64) for which in (right, ~right))
        if min(len(one), len(other)) < 2:
            return None
        difference, squares = one.mean() - other.mean(), [own.var(ddof=1) / len(own) for own in (one, other)]
        if not sum(squares):
            return None
        freedom = sum(squares) ** 2 / sum(s**2 / (len(own) - 1) for s, own in zip(squares, (one, other), strict=True))
        ends = t.interval(0.95, freedom, loc=difference, scale=sum(squares) ** 0.5)
        right_mean, wrong_mean, apart, low, high = (
            round(float(value), 2) for value in (one.mean(), other.mean(), difference, *ends)
        )
        return cls(right_mean, wrong_mean, len(one), len(other), apart, (low, high))


def pointing(
    model: Classifier,
    data: ImageSet,
    tolerance: int = 2,
    seed: int | None = None,
    *,
    console: Console | None = None,
) -> Pointing:
    """Plays the pointing game with each level's map and the combined one, and measures their energy.

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
    names = (*model.levels, COMBINED, *trivial)
    hits: dict[str, list[Tensor]] = {name: [] for name in names}
    energies: dict[str, list[Tensor]] = {name: [] for name in names}
    own = model.classes or data.classes
    labels = torch.from_numpy(numbers_among(data.classes, own)[data.labels])
    right: list[Tensor] = []
    for chosen, look in looks(model, data, device, console):
        truth = torch.from_numpy(data.masks[chosen])
        right.append(look.logits.float().cpu().argmax(1) == labels[chosen])
        maps = {**look.maps, COMBINED: model.combined(look.maps)}
        on_grid = {name: upsampled(level.float().cpu(), size) for name, level in maps.items()}
        on_grid |= {name: level.expand(len(truth), -1, -1) for name, level in trivial.items()}
        for name, found in hits.items():
            found.append(pointing_hits(on_grid[name], truth, tolerance))  # NaN without an object
            energies[name].append(energy_inside(on_grid[name], truth))
    answered = (labels >= 0) & torch.from_numpy(data.has_object)
    return Pointing(
        data=data.name,
        split=data.split,
        source=data.source,
        count=int(data.has_object.sum()),
        tolerance=tolerance,
        hits=_shares(hits),
        energy=_shares(energies),
        by_answer=ByAnswer.of(torch.cat(energies[COMBINED])[answered].numpy(), torch.cat(right)[answered].numpy()),
        provenance=watch.provenance(device, seed),
    )


def _shares(found: Mapping[str, Sequence[Tensor]]) -> dict[str, float]:
    """Means over the images that have an object, in per cent."""
    return {name: per_cent(torch.cat([*values]).nanmean(), 2) for name, values in found.items()}


def _trivial(height: int, width: int) -> dict[str, Float[Tensor, "1 h w"]]:
    """Maps that look at nothing: one that peaks at the centre, and one that peaks everywhere."""
    centre = torch.zeros(1, height, width)
    centre[0, height // 2, width // 2] = 1
    return {"image centre": centre, "random point": torch.ones(1, height, width)}
