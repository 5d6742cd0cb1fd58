"""A sheet of maps: a few pictures, a column for each method, to be looked at beside `payattention compare`'s table."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from payattention.attention.maps import drawable
from payattention.data import ImageSet
from payattention.data.parts import in_turn
from payattention.data.same_classes import known_part
from payattention.data.tensors import images_of
from payattention.evaluation.comparison.scoring import SHOWN
from payattention.evaluation.comparison.table import Comparison, Row
from payattention.models import Classifier
from payattention.models.evaluating import evaluating
from payattention.pictures.channels import visible
from payattention.pictures.drawing import contact_sheet, overlay
from payattention.system.machine import chosen_device

_CELL = 136  # pixels: the longest title fits over it


@dataclass(frozen=True)
class Seen:
    """The pictures whose maps a comparison has kept.

    Attributes:
        pictures: As they are looked at.
        objects: Their masks.
        labels: What each is, and what the model takes it for.
        maps: By row, the maps laid over the pictures; of rows that have all of them.
    """

    pictures: Sequence[Image.Image]
    objects: Sequence[Image.Image]
    labels: Sequence[str]
    maps: dict[str, list[Image.Image]]

    @classmethod
    def of(cls, model: Classifier, data: ImageSet, compared: Comparison, count: int, rows: Sequence[str]) -> "Seen":
        """At most `count` pictures, and the maps of some rows."""
        data, _ = known_part(data, model.classes)  # as they were measured
        few = data.chosen(in_turn(data.labels)[:count])
        pictures = [visible(image) for image in few.images]
        known = model.classes or data.classes
        guesses = _guesses(model, few)
        return cls(
            pictures,
            [Image.fromarray(mask).convert("RGB") for mask in few.masks],  # type: ignore[union-attr]
            [f"{data.classes[k]}, seen as {known[guess]}" for k, guess in zip(few.labels, guesses, strict=True)],
            {
                name: _overlays(pictures, compared.maps[name][: len(few)])
                for name in rows
                if len(compared.maps[name]) >= len(few)
            },
        )


def map_sheet(model: Classifier, data: ImageSet, compared: Comparison, pictures: int = SHOWN) -> Image.Image:
    """Pictures, their objects, and maps: every trained one, and of each other method the best in pixel AP.

    A method that was measured on fewer pictures is left out.
    """
    seen = Seen.of(model, data, compared, min(pictures, SHOWN), [row.name for row in _best(compared.rows)])
    columns = {"picture": seen.pictures, "object": seen.objects, **seen.maps}
    return contact_sheet(list(zip(*columns.values(), strict=True)), list(columns), seen.labels, cell=_CELL)


def _best(rows: Sequence[Row]) -> list[Row]:
    best: dict[str, Row] = {}
    for row in rows:
        if row.method not in best or _precision(row) > _precision(best[row.method]):
            best[row.method] = row
    return [row for row in rows if row.kind == "trained" or row is best[row.method]]


def _precision(row: Row) -> float:
    return row.scores["average_precision"] or 0.0


@torch.no_grad()
def _guesses(model: Classifier, few: ImageSet) -> list[int]:
    """The predicted classes."""
    with evaluating(model, chosen_device()) as device:
        return [int(label) for label in model(images_of(few, slice(len(few)), device)).argmax(1)]


def _overlays(pictures: Sequence[Image.Image], maps: Tensor) -> list[Image.Image]:
    heats = drawable(maps, (pictures[0].height, pictures[0].width)).numpy()
    return [overlay(picture, heat) for picture, heat in zip(pictures, heats, strict=True)]
