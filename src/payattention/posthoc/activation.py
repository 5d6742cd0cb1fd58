"""Activation-based maps: the mean over channels of |F|^p (Zagoruyko & Komodakis, 2017, section 3.1, there as a sum).

They ask where features are strong, whatever the class: the simplest map that any network has.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from payattention.models import Classifier
from payattention.posthoc.watching import local_features


@torch.no_grad()
def activation(
    model: Classifier, images: Float[Tensor, "n 3 h w"], labels: Tensor | None = None, *, power: float = 2.0
) -> dict[str, Tensor]:
    """The map of each layer, (n, h', w'); `labels` play no part.

    Args:
        model: Any classifier that names its local layers.
        images: Values in [0, 1].
        labels: Not looked at.
        power: p; the paper's own choice is 2.
    """
    with local_features(model) as features:
        model(images)
    return {name: local.abs().pow(power).mean(1) for name, local in features.items()}
