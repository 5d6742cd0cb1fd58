"""From scores to a map, and from a map to one descriptor (paper, section 3.1).

A normaliser turns scores (n, h, w) into a map (n, h, w) and says how the map pools local features; of several queries,
the scores (n, k, h, w) into k maps. Softmax, the paper's choice, makes positions compete; a sigmoid looks at each
position by itself; hard attention takes one position.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from payattention.system.names import Registry

_drawn: ContextVar[list[Tensor] | None] = ContextVar("drawn", default=None)


@contextmanager
def draws() -> Iterator[list[Tensor]]:
    """Collects, of the forward passes inside, the log-probability (n,) of each level's draw; empty for soft attention.

    `with draws() as drawn: logits = model(images)`
    """
    drawn: list[Tensor] = []
    token = _drawn.set(drawn)
    try:
        yield drawn
    finally:
        _drawn.reset(token)


def _record(log_probability: Tensor) -> None:
    """Notes what hard attention has drawn, for whoever asks; there is no trace of it in the network."""
    drawn = _drawn.get()
    if drawn is not None:
        drawn.append(log_probability)


class Normaliser(nn.Module):
    """Base class: `forward(scores) -> map`, `estimate(map, local) -> descriptor`."""

    shift_invariant: ClassVar[bool]
    """Whether adding a constant to an image's scores leaves its map as it was."""
    soft: ClassVar[bool] = True
    """Whether the descriptor weighs all positions by the map, so that gradients reach the scores."""

    def forward(self, scores: Float[Tensor, "n *queries h w"]) -> Float[Tensor, "n *queries h w"]:
        raise NotImplementedError

    def estimate(
        self, weights: Float[Tensor, "n *queries h w"], local: Float[Tensor, "n d h w"]
    ) -> Float[Tensor, "n *queries d"]:
        raise NotImplementedError


class Softmax(Normaliser):
    """a = softmax over all positions (equation 1); g_a = sum_i a_i l_i, in the convex hull of the l_i."""

    shift_invariant = True

    def forward(self, scores: Float[Tensor, "n *queries h w"]) -> Float[Tensor, "n *queries h w"]:
        return scores.flatten(-2).softmax(dim=-1).view_as(scores)

    def estimate(
        self, weights: Float[Tensor, "n *queries h w"], local: Float[Tensor, "n d h w"]
    ) -> Float[Tensor, "n *queries d"]:
        return torch.einsum("n...hw,ndhw->n...d", weights, local)


class Sigmoid(Normaliser):
    """a_i = sigmoid(c_i), each in (0, 1); g_a = mean_i a_i l_i, as in the public PyTorch implementation."""

    shift_invariant = False

    def forward(self, scores: Float[Tensor, "n *queries h w"]) -> Float[Tensor, "n *queries h w"]:
        return scores.sigmoid()

    def estimate(
        self, weights: Float[Tensor, "n *queries h w"], local: Float[Tensor, "n d h w"]
    ) -> Float[Tensor, "n *queries d"]:
        return torch.einsum("n...hw,ndhw->n...d", weights, local) / local[0, 0].numel()


class Hard(Softmax):
    """g_a = l_i of one position i, drawn from the softmax map: stochastic hard attention (Xu et al., 2015, 4.1).

    The map is the distribution, as under softmax; its peak is where the network looks. In training i is drawn anew for
    each image; in evaluation it is the most likely position, so that a picture has one answer. No gradient passes
    through the choice: the scores are trained by REINFORCE (`payattention.training.reinforce`) on the log-probability
    of what was drawn, which goes to `sampling.draws`.

    Args:
        expected: In training, the probability that an image gets what it can expect, the softmax's g_a, instead of a
            draw. Xu et al. take 1/2, for robustness; with 0, the layers below hardly begin to learn.
    """

    soft = False

    def __init__(self, expected: float = 0.5) -> None:
        super().__init__()
        self.expected = expected

    def estimate(self, weights: Float[Tensor, "n h w"], local: Float[Tensor, "n d h w"]) -> Float[Tensor, "n d"]:
        probabilities = weights.flatten(1)  # (n, h*w)
        if not self.training:
            return _at(probabilities.argmax(dim=1), local)
        position = torch.multinomial(probabilities.detach(), 1).squeeze(1)  # (n,)
        drawn = torch.rand(len(weights), device=weights.device) >= self.expected  # (n,)
        log_probability = probabilities.gather(1, position[:, None]).squeeze(1).log()
        _record(log_probability.where(drawn, 0))  # an expectation is certain
        return _at(position, local).where(drawn[:, None], super().estimate(weights, local))


def _at(position: Int[Tensor, " n"], local: Float[Tensor, "n d h w"]) -> Float[Tensor, "n d"]:
    """The local feature at one position of each image."""
    return local.flatten(2).gather(2, position[:, None, None].expand(-1, local.shape[1], 1)).squeeze(2)


NORMALISERS: Registry[type[Normaliser]] = Registry("normaliser", {"softmax": Softmax, "sigmoid": Sigmoid, "hard": Hard})


def create_normaliser(name: str) -> Normaliser:
    """The normaliser called `name`."""
    return NORMALISERS[name]()
