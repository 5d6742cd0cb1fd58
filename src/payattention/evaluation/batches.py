"""Running a model over a data set, batch by batch, as every evaluator does."""

from collections.abc import Iterator

import torch

from payattention.data import ImageSet
from payattention.data.tensors import images_of, slices_of
from payattention.models import Classifier, Look


@torch.inference_mode()
def looks(model: Classifier, data: ImageSet, device: torch.device) -> Iterator[tuple[slice, Look]]:
    """`model.attend` on each batch in turn, in evaluation mode.

    In float32 on every machine: the peaks of a map in bf16 are often ties.
    """
    model.eval().to(device)
    for chosen in slices_of(data, device):
        yield chosen, model.attend(images_of(data, chosen, device))
