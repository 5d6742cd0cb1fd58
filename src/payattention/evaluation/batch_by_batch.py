"""Running a model over a data set, batch by batch, as every evaluator does."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from rich.console import Console
from torch import Tensor

from payattention.data import ImageSet
from payattention.data.tensors import images_of, slices_of
from payattention.models import Classifier, Look
from payattention.models.evaluating import evaluating
from payattention.models.prediction import check_logits
from payattention.system.progress import Meter, length, tracked
from payattention.system.workers import computed_in_order

T = TypeVar("T")


def looks(
    model: Classifier, data: ImageSet, device: torch.device, console: Console | None = None
) -> Iterator[tuple[slice, Look]]:
    """`model.attend` on each batch, in order and in evaluation mode; a console shows how far it is.

    Raises:
        DataError: Logits that are no numbers.
    """

    def attend(chosen: slice, images: Tensor) -> Look:
        look = model.attend(images)
        check_logits(model, look.logits)
        return look

    yield from computed(attend, model, data, device, "measuring", console)


def computed(
    function: Callable[[slice, Tensor], T],
    model: Classifier,
    data: ImageSet,
    device: torch.device,
    what: str,
    console: Console | None = None,
) -> Iterator[tuple[slice, T]]:
    """What a function makes of each batch, in order: of the place in the set and the images (n, channels, H, W).

    The model, which the function runs, is in evaluation mode; gradients are off. On a CPU several batches are under way
    at once (`payattention.system.workers`).
    """

    @torch.inference_mode()
    def run(chosen: slice) -> tuple[slice, T]:
        return chosen, function(chosen, images_of(data, chosen, device))

    with evaluating(model, device), Meter(what, len(data), console) as meter:
        for chosen, found in computed_in_order(run, slices_of(data, device), device):
            yield chosen, found
            meter.advance(length(chosen))


def batches(data: ImageSet, device: torch.device, what: str, console: Console | None) -> Iterator[slice]:
    """The batches that a set is taken in on a device, with a meter on the console."""
    return tracked(slices_of(data, device), what, len(data), console, count=length)
