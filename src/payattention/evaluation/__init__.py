"""Measurements: each is a function `evaluate(model, data, ...)` that returns a frozen dataclass."""

from payattention.evaluation.classify import Classification, classify
from payattention.evaluation.comparison import Comparison, compare
from payattention.evaluation.pointing import Pointing, pointing

__all__ = ["Classification", "Comparison", "Pointing", "classify", "compare", "pointing"]
