"""The loss term that trains hard attention: REINFORCE, or the score-function estimator (Williams, 1992).

The loss is an expectation over what attention draws, E[loss] = sum_i p_i loss_i, and its gradient has two parts:

    E[grad loss] + E[(loss - b) grad log p]

The first is back-propagation through what was drawn; the second is this term's gradient. Both together are the gradient
of the expected loss for any baseline b that does not depend on the draw (Xu et al., 2015, equations 11 and 12). Here b
is the mean loss of the batch's other images: it needs no state, where theirs is a moving average.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def score_function(drawn: Sequence[Tensor], losses: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """The term to add to the mean loss.

    Args:
        drawn: Log-probabilities (n,) of what each level drew, independently of the others; at least one.
        losses: Each image's loss; no gradient passes through it here.
    """
    losses = losses.detach()
    others = (losses.sum() - losses) / max(1, len(losses) - 1)  # a single image has no others: no baseline
    return ((losses - others) * torch.stack(list(drawn)).sum(0)).mean()
