"""What a model says of many pictures: read as those are that it is measured on, in batches, in their order."""

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

import torch
from rich.console import Console

from payattention.data.decoding import Block, Form, blocks
from payattention.data.samples import Contents, Sample
from payattention.data.tensors import as_images, at_once
from payattention.models import Classifier
from payattention.models.evaluating import evaluating
from payattention.models.prediction import TOP, Prediction, predictions
from payattention.pictures.channels import check_channels
from payattention.system.machine import device_of
from payattention.system.progress import Meter
from payattention.system.text import shown
from payattention.system.workers import computed_in_order


def predicted(
    model: Classifier, files: Sequence[Path], *, top: int = TOP, console: Console | None = None
) -> Generator[tuple[list[Prediction], list[str]]]:
    """The predictions for some pictures, a few at a time, while the next ones are decoded.

    A picture becomes the square that the model's training and `payattention.evaluation.classify` make of it. (Maps show
    the whole picture: `payattention.explaining.explain`.)

    Args:
        model: Any classifier.
        files: The pictures.
        top: How many classes are told.
        console: Where progress is shown.

    Yields:
        Predictions in the files' order; and of the files among them that cannot be read a line each, with why.

    Raises:
        UsageError: A model of channels that no picture has.
        DataError: Logits that are no numbers.
    """
    check_channels(model.in_channels)
    samples = (Sample(file, shown(file), 0) for file in files)
    form = Form(model.image_size, model.crop_mode, model.in_channels)

    @torch.inference_mode()
    def said(block: Block) -> tuple[list[Prediction], list[str]]:
        found: list[Prediction] = []
        count = at_once(device, *block.images.shape[1:3])
        for start in range(0, len(block.images), count):
            chosen = slice(start, start + count)
            logits = model(as_images(block.images[chosen], device))
            found += predictions(model, logits, block.names[chosen], model.class_names(logits.shape[1]), top=top)
        return found, block.problems

    with (
        evaluating(model, device_of(model)) as device,
        Meter("predicting", len(files), console, "pictures") as meter,
        closing(blocks(Contents(("",), samples, len(files)), form)) as decoded,
        closing(computed_in_order(said, decoded, device)) as results,
    ):
        for found, problems in results:
            yield found, problems
            meter.advance(len(found) + len(problems))
