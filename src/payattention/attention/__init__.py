"""Trainable soft attention: compatibility, normaliser, projection, and their levels (paper, section 3)."""

from payattention.attention.branch_grad import branch_point
from payattention.attention.combination import COMBINATIONS, Combination
from payattention.attention.compatibility import COMPATIBILITIES, Compatibility
from payattention.attention.levels import Attended, AttentionLevel, MultiLevelAttention, SeveralQueries
from payattention.attention.normaliser import NORMALISERS, Normaliser
from payattention.attention.prior import PRIORS, Prior
from payattention.attention.projection import PROJECTIONS

__all__ = [
    "COMBINATIONS",
    "COMPATIBILITIES",
    "NORMALISERS",
    "PRIORS",
    "PROJECTIONS",
    "Attended",
    "AttentionLevel",
    "Combination",
    "Compatibility",
    "MultiLevelAttention",
    "Normaliser",
    "Prior",
    "SeveralQueries",
    "branch_point",
]
