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
    """Base class: `forward(scores, local) -> scores`; for its own class, attention starts nowhere.

    Args:
        queries: Whose scores they are: (n, h, w) of one, (n, k, h, w) of several.
    """

    def __init__(self, queries: int = 1) -> None:
        super().__init__()

    def forward(
        self, scores: Float[Tensor, "n *queries h w"], local: Float[Tensor, "n d h w"]
    ) -> Float[Tensor, "n *queries h w"]:
        return scores


class Strength(Prior):
    """Adds tau log(mean_d l^2), tau learned from 1: attention starts where the features are strong.

    The strength is that of the features which the score sees too, after their projection if there is one. Where they
    are all 0 it is 1e-5: weak, and not impossible. Each query has its own tau.
    """

    def __init__(self, queries: int = 1) -> None:
        super().__init__(queries)
        self.tau = nn.Parameter(torch.ones(queries))

    def forward(
        self, scores: Float[Tensor, "n *queries h w"], local: Float[Tensor, "n d h w"]
    ) -> Float[Tensor, "n *queries h w"]:
        exact = torch.promote_types(local.dtype, torch.float32)
        strength = local.to(exact).square().mean(1, keepdim=True) + _EPS  # (n, 1, h, w)
        start = self.tau[:, None, None] * strength.log()  # (n, k, h, w)
        return scores + start.view_as(scores).to(scores.dtype)


PRIORS: Registry[type[Prior]] = Registry("prior", {"none": Prior, "strength": Strength})


def create_prior(name: str, queries: int = 1) -> Prior:
    """The prior called `name`, for the scores of so many queries."""
    return PRIORS[name](queries)
