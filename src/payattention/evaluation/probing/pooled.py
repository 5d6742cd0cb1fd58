"""Reading a picture's pooled features: its nearest neighbours, and a linear classifier."""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn

from payattention.models.timm_backbones.whole_trunk import CLASS_TOKEN, MEAN
from payattention.training.features import FeatureSet

NEIGHBOURS, TEMPERATURE = 20, 0.07
"""Of k-NN as DINO measures it (Caron et al., 2021): k = 20 worked best there, and the temperature is its code's."""


def nearest(train: FeatureSet, test: FeatureSet) -> Int[Tensor, " n"]:
    """The class of each test picture by a vote of the training pictures that are most like it (DINO's k-NN).

    They are compared by the cosine s of their class tokens, or of their means where there is no such token, and each
    of the `NEIGHBOURS` nearest votes exp(s / `TEMPERATURE`) for its class (Wu et al., 2018).
    """

    def votes(distances: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.exp((1 - distances) / TEMPERATURE)

    name = CLASS_TOKEN if CLASS_TOKEN in train.features else MEAN
    known, asked = (
        torch.cat([pooled(batch, [name]) for batch in part.only([name]).in_order()]).numpy() for part in (train, test)
    )
    found = KNeighborsClassifier(min(NEIGHBOURS, len(known)), weights=votes, algorithm="brute", metric="cosine")
    return torch.from_numpy(found.fit(known, train.labels.numpy()).predict(asked))


class LinearProbe(nn.Module):
    """A linear classifier on all pooled features: the class token, where there is one, beside the mean.

    They pass a batch norm without scale and shift first, as MAE's linear probe has it (He et al., 2022, A.1): one
    learning rate then suits every backbone.

    Args:
        dims: Channels of the pooled features, by name.
        num_classes: Number of classes.
    """

    def __init__(self, dims: Mapping[str, int], num_classes: int) -> None:
        super().__init__()
        self.names = tuple(dims)
        self.norm = nn.BatchNorm1d(sum(dims.values()), affine=False)
        self.classifier = nn.Linear(sum(dims.values()), num_classes)

    def forward(self, features: dict[str, Tensor]) -> Float[Tensor, "n c"]:
        logits: Tensor = self.classifier(self.norm(pooled(features, self.names)))
        return logits


def pooled(features: Mapping[str, Tensor], names: Iterable[str]) -> Float[Tensor, "n d"]:
    """Features of (n, d, 1, 1) side by side."""
    return torch.cat([features[name].flatten(1) for name in names], dim=1)
