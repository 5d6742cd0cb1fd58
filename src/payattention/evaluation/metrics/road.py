"""ROAD: remove and debias. Does the class go with a map's first pixels, when nothing betrays where they were?

Deletion leaves an edge where it has taken pixels away, and the edge alone may tell a network what it has lost. ROAD
(Rong et al., 2022) fills the gap so that it can hardly be seen, by noisy linear imputation (`imputation`), and takes
the probability of one class after some shares of the pixels have gone:

- the most relevant first (MoRF): lower is better;
- the least relevant first (LeRF): higher is better.

The score is half of how far the second lies above the first, as pytorch-grad-cam has it: -1/2 ... 1/2, higher is
better; a random map has about 0. Masks play no part, and a picture with several objects or none counts like any other.
Equal pixels go in a random order, the same for all maps; so a constant map is a random one.

What it cannot tell: where the object is; and where a network takes its class from the whole picture, every map scores
near 0. Filled gaps are smooth, so a network that lives by texture loses it wherever a gap is large.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from payattention.evaluation.metrics.checks import check_finite
from payattention.evaluation.metrics.perturbation import Classify, ranks

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Of the pixels, that go."""


class Road(NamedTuple):
    """The mean probability (n,) after the pixels have gone, the most relevant first and the least relevant first."""

    most_first: Tensor
    least_first: Tensor

    @property
    def score(self) -> Float[Tensor, " n"]:
        """Half of how far the second lies above the first."""
        return (self.least_first - self.most_first) / 2


def road(
    classify: Classify,
    images: Float[Tensor, "n channels h w"],
    labels: Int[Tensor, " n"],
    maps: Float[Tensor, "n h w"],
    *,
    shares: tuple[float, ...] = SHARES,
    noise: float = 0.01,
    seed: int = 0,
) -> Road:
    """Both mean probabilities for each picture and map; two forward passes for each share.

    Args:
        classify: Gives probabilities.
        images: Values in [0, 1].
        labels: The class that is followed.
        maps: On the pictures' grid.
        shares: Of the pixels, that go; each between 0 and 1.
        noise: Its standard deviation, in values.
        seed: Of the noise, which is the same for all maps.

    Raises:
        PayAttentionError: Maps that are not finite.
    """
    from payattention.evaluation.metrics.imputation import imputed  # needs what other metrics need not wait for

    check_finite(maps)
    most, pixels = ranks(maps), maps[0].numel()
    orders = (most, pixels - 1 - most)  # the place of each pixel as they go
    random = torch.Generator().manual_seed(seed)
    grain = noise * torch.randn(images.shape, generator=random).to(images)

    def left(share: float, order: Tensor) -> Tensor:
        missing = order < round(share * pixels)
        filled = torch.where(missing[:, None], imputed(images, missing) + grain, images).clamp(0, 1)
        return classify(filled).gather(1, labels[:, None])[:, 0]

    return Road(*(torch.stack([left(share, order) for share in shares]).mean(0) for order in orders))
