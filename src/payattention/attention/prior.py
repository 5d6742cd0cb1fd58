"""Where attention starts, before it has learnt anything: what is added to the scores.

Under softmax a map is the strength of the features times the exponential of the score, made to sum to 1: the prior says
where to look, and the score, near 0 in a fresh network, learns where to leave. A prior reads local features alone, so
it never makes a map see the query, and no map blind that saw it.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from payattention.system.names import Registry

_EPS = 1e-5


class Prior(nn.Module):
    """Base class: `forward(scores, local, deepest) -> scores`; for its own class, attention starts nowhere.

    `deepest` are the local features of the network's last level, on a grid of their own.

    Args:
        queries: Whose scores they are: (n, h, w) of one, (n, k, h, w) of several.
    """

    def __init__(self, queries: int = 1) -> None:
        super().__init__()

    def forward(
        self,
        scores: Float[Tensor, "n *queries h w"],
        local: Float[Tensor, "n d h w"],
        deepest: Float[Tensor, "n e i j"],
    ) -> Float[Tensor, "n *queries h w"]:
        return scores


class Strength(Prior):
    """Adds tau log |l|, tau learned from 1: attention starts where the features are strong.

    |l| is the root of mean_d l^2, of the features that the score sees too, after their projection if there is one.
    Where they are all 0 it is about 0.003: weak, and not impossible. Each query has its own tau.

    tau is a weight like any other, and no vector, which recipes spare: their decay draws it to 0, and the more steps
    there are, the freer attention becomes of its prior.
    """

    def __init__(self, queries: int = 1) -> None:
        super().__init__(queries)
        self.tau = nn.Parameter(torch.ones(queries, 1, 1))

    def forward(
        self,
        scores: Float[Tensor, "n *queries h w"],
        local: Float[Tensor, "n d h w"],
        deepest: Float[Tensor, "n e i j"],
    ) -> Float[Tensor, "n *queries h w"]:
        strength = _strength(self.source(local, deepest))  # (n, 1, h, w), or of the deepest grid
        strength = F.interpolate(strength, scores.shape[-2:], mode="bilinear", align_corners=False)
        start = self.tau * strength.log()  # (n, k, h, w)
        return scores + start.view_as(scores).to(scores.dtype)

    @staticmethod
    def source(local: Tensor, deepest: Tensor) -> Tensor:
        """The features whose strength it is."""
        return local


class DeepStrength(Strength):
    """The same of the last level's features, brought to each level's grid.

    A finer level's own features are strong where there is texture and contrast; those of the last level where there are
    things.
    """

    @staticmethod
    def source(local: Tensor, deepest: Tensor) -> Tensor:
        return deepest


def _strength(features: Float[Tensor, "n d h w"]) -> Float[Tensor, "n 1 h w"]:
    exact = torch.promote_types(features.dtype, torch.float32)
    return (features.to(exact).square().mean(1, keepdim=True) + _EPS).sqrt()


PRIORS: Registry[type[Prior]] = Registry("prior", {"none": Prior, "strength": Strength, "deep_strength": DeepStrength})


def create_prior(name: str, queries: int = 1) -> Prior:
    """The prior called `name`, for the scores of so many queries."""
    return PRIORS[name](queries)
