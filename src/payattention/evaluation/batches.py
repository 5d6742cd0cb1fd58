"""Running a model over a data set, batch by batch, as every evaluator does."""

from collections.abc import Iterator

import torch
from torch import Tensor

from payattention.data import ImageSet
from payattention.machine import best_precision
from payattention.models import Classifier, Look


def images_of(data: ImageSet, chosen: slice, device: torch.device) -> Tensor:
    """Float images (n, 3, H, W) in [0, 1]."""
    images = torch.from_numpy(data.images[chosen]).to(device)
    return images.permute(0, 3, 1, 2).float() / 255


@torch.inference_mode()
def looks(
    model: Classifier, data: ImageSet, device: torch.device, batch_size: int = 250
) -> Iterator[tuple[slice, Look]]:
    """`model.attend` on each batch in turn, in evaluation mode and the machine's best precision."""
    model.eval().to(device)
    autocast = best_precision(device) == "bf16-mixed"
    for start in range(0, len(data), batch_size):
        chosen = slice(start, start + batch_size)
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            look = model.attend(images_of(data, chosen, device))
        yield chosen, look
