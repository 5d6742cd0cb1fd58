"""What a map is worth, one idea a file. Each says which way is better, where it is from, what it makes of equal values
and of masks with several objects or none, and what it cannot tell.

They ask for different things:

- A map and the object's mask: `pointing`, `mass`, `overlap`, `ranking`. Maps are scored on the grid of the masks, float
  (n, h, w), and have to be finite. A score is given for each picture, (n,), so that means, deviations and comparisons
  of two methods on the same pictures are the caller's.
- The maps of a whole set: `localisation`. What each picture has to say, (n, ...), and the number that comes of all.
- A map and the network, as a function from images to probabilities: `perturbation`, `road`, `faithfulness`; (n,).
- What makes the maps, as a function from images to maps by name: `sensitivity`, and of a network whose parameters are
  drawn anew, or for another class, `randomisation`; (n,) by name, from the `similarity` of two maps.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from torch import Tensor

from payattention.evaluation.metrics.faithfulness import (
    Removals,
    faithfulness_correlation,
    infidelity,
    random_pixels,
    random_squares,
    removals,
)
from payattention.evaluation.metrics.localisation import (
    box_overlaps,
    max_box_accuracy,
    pooled_average_precision,
    value_counts,
)
from payattention.evaluation.metrics.mass import energy_inside, entropy, gini
from payattention.evaluation.metrics.overlap import jaccard, otsu_masks
from payattention.evaluation.metrics.perturbation import Areas, perturbation_areas
from payattention.evaluation.metrics.pointing import pointing_hits
from payattention.evaluation.metrics.randomisation import (
    attention_layers,
    cascade,
    class_randomisation,
    layers_from_the_top,
    model_randomisation,
    randomised,
)
from payattention.evaluation.metrics.ranking import pixel_average_precision, relevance_rank_accuracy, roc_auc
from payattention.evaluation.metrics.road import Road, road
from payattention.evaluation.metrics.sensitivity import max_sensitivity
from payattention.evaluation.metrics.similarity import rank_correlation, structural_similarity
from payattention.system.names import Registry


class Metric(NamedTuple):
    """A metric's title in tables, which way is better ("" for neither), and its paper."""

    title: str
    better: Literal["higher", "lower", ""]
    source: str
    of_set: Callable[[Tensor], float] | None = None
    """What becomes of all pictures' rows (n, ...); None for their mean."""
    costly: bool = False
    """Whether it takes many forward passes a picture, or as long."""

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
        "deletion": Metric("deletion", "lower", "Petsiuk et al., 2018", costly=True),
        "insertion": Metric("insertion", "higher", "Petsiuk et al., 2018", costly=True),
        "entropy": Metric("entropy", "", "Shannon, 1948"),
    },
)
"""The columns of `payattention compare`; docs/maps.md explains each."""

FURTHER: Registry[Metric] = Registry(
    "further metric",
    {
        "roc_auc": Metric("ROC AUC", "higher", "Fawcett, 2006"),
        "rank_accuracy": Metric("rank accuracy", "higher", "Arras et al., 2022"),
        "pooled_average_precision": Metric("PxAP", "higher", "Choe et al., 2020", pooled_average_precision),
        "box_accuracy": Metric("MaxBoxAcc", "higher", "Choe et al., 2020", max_box_accuracy, costly=True),
        "gini": Metric("Gini", "", "Chalasani et al., 2020"),
        "road": Metric("ROAD", "higher", "Rong et al., 2022", costly=True),
        "infidelity": Metric("infidelity", "lower", "Yeh et al., 2019", costly=True),
        "faithfulness": Metric("faithfulness", "higher", "Bhatt et al., 2020", costly=True),
        "sensitivity": Metric("max-sensitivity", "lower", "Yeh et al., 2019", costly=True),
    },
)
"""The columns that `payattention compare --metrics` adds to them."""

__all__ = [
    "FURTHER",
    "METRICS",
    "Areas",
    "Metric",
    "Removals",
    "Road",
    "attention_layers",
    "box_overlaps",
    "cascade",
    "class_randomisation",
    "energy_inside",
    "entropy",
    "faithfulness_correlation",
    "gini",
    "infidelity",
    "jaccard",
    "layers_from_the_top",
    "max_box_accuracy",
    "max_sensitivity",
    "model_randomisation",
    "otsu_masks",
    "perturbation_areas",
    "pixel_average_precision",
    "pointing_hits",
    "pooled_average_precision",
    "random_pixels",
    "random_squares",
    "randomised",
    "rank_correlation",
    "relevance_rank_accuracy",
    "removals",
    "road",
    "roc_auc",
    "structural_similarity",
    "value_counts",
]
