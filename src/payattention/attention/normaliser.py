"""From scores to a map, and from a map to one descriptor (paper, section 3.1).

A normaliser turns scores (n, h, w) into a map (n, h, w) and says how the map pools local features. Softmax, the
paper's choice, makes positions compete; a sigmoid looks at each position by itself.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from payattention.errors import unknown


class Normaliser(nn.Module):
    """Base class: `forward(scores) -> map`, `estimate(map, local) -> descriptor`."""

    shift_invariant: ClassVar[bool]
    """Whether adding a constant to an image's scores leaves its map as it was."""

    def forward(self, scores: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
        raise NotImplementedError

    def estimate(self, weights: Float[Tensor, "n h w"], local: Float[Tensor, "n d h w"]) -> Float[Tensor, "n d"]:
        raise NotImplementedError


class Softmax(Normaliser):
    """a = softmax over all positions (equation 1); g_a = sum_i a_i l_i, in the convex hull of the l_i."""

    shift_invariant = True

    def forward(self, scores: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
        return scores.flatten(1).softmax(dim=1).view_as(scores)

    def estimate(self, weights: Float[Tensor, "n h w"], local: Float[Tensor, "n d h w"]) -> Float[Tensor, "n d"]:
        return torch.einsum("nhw,ndhw->nd", weights, local)


class Sigmoid(Normaliser):
    """a_i = sigmoid(c_i), each in (0, 1); g_a = mean_i a_i l_i, as in the public PyTorch implementation."""

    shift_invariant = False

    def forward(self, scores: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
        return scores.sigmoid()

    def estimate(self, weights: Float[Tensor, "n h w"], local: Float[Tensor, "n d h w"]) -> Float[Tensor, "n d"]:
        return torch.einsum("nhw,ndhw->nd", weights, local) / weights[0].numel()


NORMALISERS: dict[str, type[Normaliser]] = {"softmax": Softmax, "sigmoid": Sigmoid}


def create_normaliser(name: str) -> Normaliser:
    """The normaliser called `name`."""
    if name not in NORMALISERS:
        raise unknown("normaliser", name, NORMALISERS)
    return NORMALISERS[name]()
