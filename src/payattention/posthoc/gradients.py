"""Integrated gradients (Sundararajan et al., 2017): a logit's gradient, summed on the way from black to the picture.

captum's implementation (Gauss-Legendre). A pixel's map value is the size of its attribution, its colours added up.
"""

import warnings

import torch
from jaxtyping import Float
from torch import Tensor

from payattention.models import Classifier
from payattention.models.modes import evaluating
from payattention.posthoc.hooks import captum, need


@torch.enable_grad()
def integrated_gradients(
    model: Classifier,
    images: Float[Tensor, "n channels h w"],
    labels: Tensor | None = None,
    *,
    steps: int = 50,
    batch_size: int = 64,
) -> dict[str, Tensor]:
    """The attribution of each pixel, as {"pixels": (n, h, w)}.

    Args:
        model: Any classifier.
        images: Values in [0, 1].
        labels: The classes (n,); by default the predicted ones.
        steps: Points on the way.
        batch_size: About so many points in one forward pass.

    Raises:
        UsageError: captum is missing.
    """
    need(model, captum)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what captum imports
        from captum.attr import IntegratedGradients

    with evaluating(model):
        target = model(images).argmax(1) if labels is None else labels
        explained = IntegratedGradients(model).attribute(
            images, target=target, n_steps=steps, internal_batch_size=max(batch_size, len(images))
        )
    return {"pixels": explained.sum(1).abs().detach()}
