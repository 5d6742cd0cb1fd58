"""Measurements: each is a function `evaluate(model, data, ...)` that returns a frozen dataclass."""

from payattention.evaluation.classify import Classification, classify
from payattention.evaluation.comparison.table import Comparison, compare
from payattention.evaluation.pointing import Pointing, pointing
from payattention.evaluation.segment import Segmentation, segment

__all__ = [
    "Classification",
    "Comparison",
    "Pointing",
    "Segmentation",
    "classify",
    "compare",
    "pointing",
    "segment",
]
