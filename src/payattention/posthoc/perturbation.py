"""Score-CAM (Wang et al., 2020): channels weigh as much as the class rises when each alone uncovers the picture.

torchcam's implementation, on our pixels: a picture is masked before the model's preprocessing, so what is covered is
black. One forward pass for each channel of each layer.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from payattention.models import Classifier
from payattention.models.modes import evaluating
from payattention.posthoc.hooks import layers, need, torchcam


@torch.no_grad()
def score_cam(
    model: Classifier, images: Float[Tensor, "n channels h w"], labels: Tensor | None = None, *, batch_size: int = 64
) -> dict[str, Tensor]:
    """The Score-CAM map (n, h', w') of each local layer.

    Args:
        model: Any classifier that names its local layers.
        images: Values in [0, 1].
        labels: The classes (n,); by default the predicted ones.
        batch_size: Masked pictures in one forward pass.

    Raises:
        UsageError: A model that does not name its layers, or torchcam is missing.
    """
    need(model, layers, torchcam)
    from torchcam.methods import ScoreCAM

    local = model.local_layers()
    with evaluating(model), ScoreCAM(model, list(local.values()), batch_size=batch_size) as extract:
        predicted = model(images).argmax(1)
        maps = extract((predicted if labels is None else labels).tolist(), normalized=False)
    return dict(zip(local, maps, strict=True))
