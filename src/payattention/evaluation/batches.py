"""Running a model over a data set, batch by batch, as every evaluator does."""

from collections.abc import Iterator

import torch

from payattention.data import ImageSet
from payattention.data.tensors import images_of, slices_of
from payattention.errors import DataError
from payattention.models import Classifier, Look


@torch.inference_mode()
def looks(model: Classifier, data: ImageSet, device: torch.device) -> Iterator[tuple[slice, Look]]:
    """`model.attend` on each batch in turn, in evaluation mode.

    In float32 on every machine: the peaks of a map in bf16 are often ties.

    Raises:
        DataError: Logits that are no numbers.
    """
    model.eval().to(device)
    for chosen in slices_of(data, device):
        look = model.attend(images_of(data, chosen, device))
        check_logits(model, look.logits)
        yield chosen, look


def check_logits(model: Classifier, logits: torch.Tensor) -> None:
    """Raises DataError for logits that are no numbers: their largest says nothing, and no attack would change it."""
    if not logits.isfinite().all():
        raise DataError(f"the logits of this {model.name} are not finite: has its training diverged?")
