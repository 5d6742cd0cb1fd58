"""Heads: from the levels' descriptors g_a to class logits (paper, section 3.1, last paragraph).

Every head gives logits for which cross-entropy is the exact training loss. Before the classifier each level passes
BN-ReLU-Dropout of its own, as in the authors' code (`normalise=False`: straight on g_a, the paper's plain text).
"""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from payattention.system.names import Registry


class Head(nn.Module):
    """Base class.

    Args:
        dims: Dimension of each level's descriptor, in network order.
        num_classes: Number of classes C.
        normalise: BN-ReLU-Dropout on each descriptor.
        dropout: Its dropout rate.
    """

    def __init__(self, dims: Sequence[int], num_classes: int, normalise: bool = True, dropout: float = 0.5) -> None:
        super().__init__()
        self.normalise = nn.ModuleList(
            nn.Sequential(nn.BatchNorm1d(dim), nn.ReLU(), nn.Dropout(dropout)) if normalise else nn.Identity()
            for dim in dims
        )

    def normalised(self, descriptors: Sequence[Tensor]) -> list[Tensor]:
        return [normalise(g_a) for normalise, g_a in zip(self.normalise, descriptors, strict=True)]

    def features(self, descriptors: Sequence[Tensor]) -> Float[Tensor, "n k"]:
        """What the last classifier sees: the features of the transfer experiment (paper, table 3)."""
        return torch.cat(self.normalised(descriptors), dim=1)

    def forward(self, descriptors: Sequence[Tensor]) -> Float[Tensor, "n c"]:
        raise NotImplementedError


class ConcatHead(Head):
    """One linear classifier on the concatenated descriptors."""

    def __init__(self, dims: Sequence[int], num_classes: int, normalise: bool = True, dropout: float = 0.5) -> None:
        super().__init__(dims, num_classes, normalise, dropout)
        self.classifier = nn.Linear(sum(dims), num_classes)

    def forward(self, descriptors: Sequence[Tensor]) -> Float[Tensor, "n c"]:
        logits: Tensor = self.classifier(self.features(descriptors))
        return logits


class _OneClassifierPerLevel(Head):
    def __init__(self, dims: Sequence[int], num_classes: int, normalise: bool = True, dropout: float = 0.5) -> None:
        super().__init__(dims, num_classes, normalise, dropout)
        self.classifiers = nn.ModuleList(nn.Linear(dim, num_classes) for dim in dims)

    def level_logits(self, descriptors: Sequence[Tensor]) -> Float[Tensor, "s n c"]:
        normalised = self.normalised(descriptors)
        return torch.stack([fc(g_a) for fc, g_a in zip(self.classifiers, normalised, strict=True)])


class IndepHead(_OneClassifierPerLevel):
    """A classifier per level; the class probabilities are averaged, as the paper says.

    The logits are log(mean_s p_s), so their softmax is the average and their cross-entropy its exact negative
    log-likelihood.
    """

    def forward(self, descriptors: Sequence[Tensor]) -> Float[Tensor, "n c"]:
        log_p = self.level_logits(descriptors).log_softmax(dim=2)  # (s, n, c)
        return log_p.logsumexp(dim=0) - math.log(len(log_p))


class LogitSumHead(_OneClassifierPerLevel):
    """A classifier per level; the logits are summed, as the authors' code does."""

    def forward(self, descriptors: Sequence[Tensor]) -> Float[Tensor, "n c"]:
        return self.level_logits(descriptors).sum(dim=0)


HEADS: Registry[type[Head]] = Registry("head", {"concat": ConcatHead, "indep": IndepHead, "logit_sum": LogitSumHead})


def create_head(
    name: str, dims: Mapping[str, int], num_classes: int, normalise: bool = True, dropout: float = 0.5
) -> Head:
    """The head called `name` for descriptors of the dimensions `dims`, by level."""
    return HEADS[name](list(dims.values()), num_classes, normalise, dropout)
