"""What a map is worth, one idea a file. Each says which way is better, where it is from, and what it makes of masks
with several objects or none.

Maps are scored on the grid of the masks, float (n, h, w), and have to be finite. A score is given for each picture,
(n,), so that means, deviations and comparisons of two methods on the same pictures are the caller's.
"""

from typing import Literal, NamedTuple

from payattention.evaluation.metrics.mass import energy_inside, entropy
from payattention.evaluation.metrics.overlap import jaccard, otsu_masks, pixel_average_precision
from payattention.evaluation.metrics.perturbation import Areas, perturbation_areas
from payattention.evaluation.metrics.pointing import pointing_hits
from payattention.system.names import Registry


class Metric(NamedTuple):
    """A metric's title in tables, which way is better ("" for neither), and its paper."""

    title: str
    better: Literal["higher", "lower", ""]
    source: str

    @property
    def heading(self) -> str:
        """The title with an arrow towards better, for a column."""
        return self.title + {"higher": " ↑", "lower": " ↓", "": ""}[self.better]


METRICS: Registry[Metric] = Registry(
    "metric",
    {
        "pointing": Metric("pointing", "higher", "Zhang et al., 2016"),
        "energy": Metric("energy", "higher", "Wang et al., 2020"),
        "jaccard": Metric("Jaccard", "higher", "Jetley et al., 2018, A.4"),
        "average_precision": Metric("pixel AP", "higher", "Choe et al., 2020"),
        "deletion": Metric("deletion", "lower", "Petsiuk et al., 2018"),
        "insertion": Metric("insertion", "higher", "Petsiuk et al., 2018"),
        "entropy": Metric("entropy", "", "Shannon, 1948"),
    },
)
"""The columns of `payattention compare`; docs/maps.md explains each."""

__all__ = [
    "METRICS",
    "Areas",
    "Metric",
    "energy_inside",
    "entropy",
    "jaccard",
    "otsu_masks",
    "perturbation_areas",
    "pixel_average_precision",
    "pointing_hits",
]
