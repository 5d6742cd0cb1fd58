"""Sheets of attention maps while a network trains: where it looks in the same pictures, every few epochs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from payattention.attention.maps import drawable
from payattention.data import ImageSet
from payattention.models import Classifier, Look
from payattention.models.evaluating import evaluating
from payattention.pictures.channels import visible
from payattention.pictures.drawing import contact_sheet, overlay
from payattention.system.files import write_picture
from payattention.training.callbacks.tensorboard import Board
from payattention.training.loop import Callback, Run

FOLDER = "sheets"
_PICTURES = 8
_CELL = 128  # pixels


class Sheets(Callback):
    """Writes `epoch-0005.png`, `epoch-0010.png`, ... for every 5 epochs: a row a picture, a column a level.

    The weights are those of the step, not averaged ones. Looking draws no random numbers and leaves no trace: training
    goes on bit by bit as it would without.

    Args:
        model: The classifier that is trained, or whose head is.
        data: Pictures that it is not trained on; a few of them, evenly from the set, are shown.
        folder: Where to write.
        every: Epochs from one sheet to the next.
        board: TensorBoard's, to show them on, too.
    """

    def __init__(self, model: Classifier, data: ImageSet, folder: Path, every: int, board: Board | None = None) -> None:
        self.model, self.folder, self.every, self.board = model, folder, every, board
        self.data = data.chosen(np.linspace(0, len(data) - 1, min(_PICTURES, len(data))).astype(np.int64))

    def on_epoch_end(self, run: Run) -> None:
        epoch = run.epoch + 1
        if epoch % self.every or not run.processes.first:
            return
        images = torch.from_numpy(np.asarray(self.data.images)).permute(0, 3, 1, 2) / 255  # (n, channels, H, W)
        with torch.no_grad(), evaluating(self.model):
            look = self.model.attend(images.to(run.device))
        sheet = drawn(look, self.model.joint(look.maps), self.data)
        write_picture(self.folder / f"epoch-{epoch:04d}.png", sheet)
        if self.board is not None:
            self.board.picture("maps", sheet, run.step)


def drawn(look: Look, joint: Float[Tensor, "n h w"], data: ImageSet) -> Image.Image:
    """Pictures, and over each where `look` looked: a column a level, and the levels combined."""
    height, width = data.images.shape[1:3]
    size = (round(height * _CELL / max(height, width)), round(width * _CELL / max(height, width)))
    columns = {name: drawable(map_.float().cpu(), size) for name, map_ in look.maps.items()}
    columns["combined"] = drawable(joint.float().cpu(), size)
    pictures = [visible(pixels).resize(size[::-1], Image.Resampling.BICUBIC) for pixels in data.images]
    rows = [
        [picture, *(overlay(picture, column[k].numpy()) for column in columns.values())]
        for k, picture in enumerate(pictures)
    ]
    return contact_sheet(rows, ["picture", *columns], list(_captions(look, data)), cell=_CELL)


def _captions(look: Look, data: ImageSet) -> Iterator[str]:
    """What each picture is, and what the network says it is."""
    surest = look.logits.float().softmax(1).max(1)
    for label, probability, said in zip(data.labels, surest.values.tolist(), surest.indices.tolist(), strict=True):
        yield f"{data.classes[label]}: said {data.classes[said]} ({probability:.0%})"
