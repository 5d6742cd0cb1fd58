"""Where attention starts, before it has learnt anything: what is added to the scores.

Under softmax a map is the prior times the exponential of the score, made to sum to 1: the prior says where to look, and
the score, near 0 in a fresh network, learns where to leave. A prior reads local features alone, so it never makes a map
see the query, and no map blind that saw it.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from payattention.system.names import Registry

_EPS = 1e-5


class Prior(nn.Module):
    """Base class: `forward(scores, local) -> scores`; for its own class, attention starts nowhere."""

    def forward(self, scores: Float[Tensor, "n h w"], local: Float[Tensor, "n d h w"]) -> Float[Tensor, "n h w"]:
        return scores


class Strength(Prior):
    """Adds tau log(mean_d l^2), tau learned from 1: attention starts where the features are strong.

    The strength is that of the features which the score sees too, after their projection if there is one. Where they
    are all 0 it is 1e-5: weak, and not impossible.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tau = nn.Parameter(torch.ones(1))

    def forward(self, scores: Float[Tensor, "n h w"], local: Float[Tensor, "n d h w"]) -> Float[Tensor, "n h w"]:
        exact = torch.promote_types(local.dtype, torch.float32)
        strength = local.to(exact).square().mean(1)  # (n, h, w)
        return scores + (self.tau * (strength + _EPS).log()).to(scores.dtype)


PRIORS: Registry[type[Prior]] = Registry("prior", {"none": Prior, "strength": Strength})


def create_prior(name: str) -> Prior:
    """The prior called `name`."""
    return PRIORS[name]()
