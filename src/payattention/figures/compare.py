"""A sheet of maps: a few pictures, a column for each method, to be looked at beside `payattention compare`'s table."""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from payattention.attention.maps import drawable
from payattention.data import ImageSet, limited
from payattention.data.same_classes import known_part
from payattention.data.tensors import images_of
from payattention.evaluation.comparison.sources import sources
from payattention.evaluation.comparison.table import Comparison, Row
from payattention.models import Classifier
from payattention.models.evaluating import evaluating
from payattention.pictures.channels import visible
from payattention.pictures.drawing import contact_sheet, overlay
from payattention.system.machine import chosen_device

PICTURES = 6
_CELL = 136  # pixels: the longest title fits over it


def map_sheet(model: Classifier, data: ImageSet, compared: Comparison, pictures: int = PICTURES) -> Image.Image:
    """Pictures, their objects, and maps: every trained one, and of each other method the best in pixel AP."""
    data, _ = known_part(data, model.classes)  # as they were measured
    few = limited(data, pictures)
    shown = [row for row in _shown(compared.rows) if row.pictures >= len(few)]  # others would take too long again
    methods, names = {row.method for row in shown}, {row.name for row in shown}
    images = images_of(few, slice(len(few)), chosen_device())
    with evaluating(model, images.device):
        guesses = _guesses(model, images)
        maps = {
            name: values
            for source in sources(model, baseline=compared.baseline)[0]
            if source.title in methods
            for name, values in source.maps(images).items()
            if name in names
        }
    originals = [visible(image) for image in few.images]
    columns = {
        "picture": originals,
        "object": [Image.fromarray(mask).convert("RGB") for mask in few.masks],  # type: ignore[union-attr]
        **{name: _overlays(originals, values) for name, values in maps.items()},
    }
    known = model.classes or data.classes
    labels = [f"{data.classes[k]}, seen as {known[guess]}" for k, guess in zip(few.labels, guesses, strict=True)]
    return contact_sheet(list(zip(*columns.values(), strict=True)), list(columns), labels, cell=_CELL)


def _shown(rows: Sequence[Row]) -> list[Row]:
    best: dict[str, Row] = {}
    for row in rows:
        if row.method not in best or _precision(row) > _precision(best[row.method]):
            best[row.method] = row
    return [row for row in rows if row.kind == "trained" or row is best[row.method]]


def _precision(row: Row) -> float:
    return row.scores["average_precision"] or 0.0


@torch.no_grad()
def _guesses(model: Classifier, images: Tensor) -> list[int]:
    """The predicted classes."""
    return [int(label) for label in model(images).argmax(1)]


def _overlays(pictures: Sequence[Image.Image], maps: Tensor) -> list[Image.Image]:
    size = (pictures[0].height, pictures[0].width)
    heats = drawable(maps.float(), size).cpu().numpy()
    return [overlay(picture, heat) for picture, heat in zip(pictures, heats, strict=True)]
