"""CAM: each position's share in a class's logit (Zhou et al., 2016), cut at 0.

Exact, and at no cost, where a network classifies the mean of its features with one linear layer (`ClassMapped`). For
others there is Grad-CAM, which is the same map up to a factor on the features that such a network averages.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from payattention.models import Classifier
from payattention.models.class_map import ClassMapped
from payattention.models.modes import evaluating
from payattention.posthoc.requirements import class_maps, need


@torch.no_grad()
def cam(model: Classifier, images: Float[Tensor, "n 3 h w"], labels: Tensor | None = None) -> dict[str, Tensor]:
    """The class activation map (n, h', w') of the network's last layer.

    Raises:
        UsageError: A network that has none.
    """
    need(model, class_maps)
    assert isinstance(model, ClassMapped)
    with evaluating(model):
        return {"last layer": model.class_map(images, labels).relu()}
