"""Measurements: each is a function `evaluate(model, data, ...)` that returns a frozen dataclass."""

from payattention.evaluation.classify import Classification, classify
from payattention.evaluation.pointing import Pointing, pointing

__all__ = ["Classification", "Pointing", "classify", "pointing"]
