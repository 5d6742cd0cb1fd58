"""What is asked of every picture of a corpus: where a model looks in it, or only what it is."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from payattention.attention.maps import border_shares
from payattention.errors import UsageError, broken_map, without_numbers
from payattention.explaining.corpus.rows import Row
from payattention.explaining.corpus.run_lengths import run_lengths
from payattention.explaining.corpus.sources import Content
from payattention.explaining.explanation import COMBINED, Explanation, combined_at, mask_of
from payattention.explaining.folder import alone_if_large
from payattention.explaining.inputs import seen_pixels
from payattention.explaining.methods import ATTENTION
from payattention.explaining.output_form import FORMATS
from payattention.explaining.request import Request, View
from payattention.models import Classifier
from payattention.models.prediction import TOP
from payattention.models.rewrites.fold import quick
from payattention.pictures.channels import check_channels
from payattention.pictures.reading import decode_picture, read_picture, to_size
from payattention.system.files import write_picture


@dataclass(frozen=True)
class Asked:
    """Stands in the manifest: a corpus's folder has the rows of one.

    Attributes:
        verb: "maps" or "predict".
        top: How many classes are told.
        size: The pictures' shorter side as the model sees them, in pixels; None for its own. Only of maps, as the next.
        method: Of the maps; None for the model's own.
        target: The class that the maps are of.
        average: Over what else they are means (`Classifier.averaging`).
        style: How overlays are drawn; None for no overlays.
        format: Of the overlays' files.
        device: What computes, as it was asked for.
        precision: In which it does.
    """

    verb: str
    top: int = TOP
    size: int | None = None
    method: str | None = None
    target: str | int | None = None
    average: str | None = None
    style: str | None = None
    format: str = "jpg"
    device: str = "auto"
    precision: str = "auto"

    def of(self, model: Classifier) -> "Question":
        """The question to one model.

        Raises:
            UsageError: What this model cannot be asked.
        """
        return MapsQuestion(self, model) if self.verb == "maps" else ClassesQuestion(self, model)

    def settled(self, model: Classifier) -> "Asked":
        """With what the model decides where it is left to it.

        Raises:
            UsageError: What this model cannot be asked.
        """
        question = self.of(model)
        if not isinstance(question, MapsQuestion):
            return self
        return replace(self, size=question.request.size, method=question.request.method)

    def quick(self, model: Classifier) -> Classifier:
        """The model that answers: folded where forward passes alone are made, which is faster.

        Post-hoc methods name layers, batch norms among them.
        """
        return quick(model) if self.method in (None, ATTENTION) else model

    def as_json(self) -> Mapping[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Seen:
    """A picture that was decoded.

    Attributes:
        id: What it is called.
        pixels: As the model sees them.
        size: Its own width and height.
        content: What it was decoded from.
        overlay: Where its overlay goes: the corpus's folder, and the file from there on.
    """

    id: str
    pixels: UInt8[np.ndarray, "h w channels"]
    size: tuple[int, int]
    content: Content
    overlay: tuple[Path, str]


@runtime_checkable
class Question(Protocol):
    """What is asked of pictures, in two steps: the first needs no network, and many may take it at once."""

    model: Classifier

    def seen(self, id: str, content: Path | bytes, overlay: tuple[Path, str]) -> Seen:
        """Decodes a picture; call it under `payattention.pictures.reading.quiet`.

        Raises:
            DataError: It cannot be read.
        """

    def answered(self, images: Float[Tensor, "n channels h w"], seen: Sequence[Seen]) -> list[Row]:
        """The rows of a batch; a picture of which no numbers come out has an error."""


class MapsQuestion:
    """Classes and maps, as `payattention.explaining.explain` gives them."""

    def __init__(self, asked: Asked, model: Classifier) -> None:
        self.model = model if asked.average is None else model.averaging(asked.average)
        self.request = Request.of(self.model, size=asked.size, method=asked.method, target=asked.target)
        if self.request.of_all:
            raise UsageError("target 'all': a corpus has the maps of one class; name it, or leave it to each picture")
        self.asked = asked

    def seen(self, id: str, content: Path | bytes, overlay: tuple[Path, str]) -> Seen:
        picture = decode_picture(content, id, channels=self.model.in_channels).picture
        return Seen(id, seen_pixels(self.model, picture, self.request.size), picture.size, content, overlay)

    def answered(self, images: Float[Tensor, "n channels h w"], seen: Sequence[Seen]) -> list[Row]:
        (view,) = self.request.views(images)
        borders = border_shares(torch.from_numpy(view.joint)).tolist()
        return [self._row(view, k, one, borders[k]) for k, one in enumerate(seen)]

    def _row(self, view: View, k: int, seen: Seen, border: float) -> Row:
        if (error := self._problem(view, k, seen)) is not None:
            return Row(seen.id, error)
        width, height = seen.size
        with alone_if_large(width * height):
            counts = run_lengths(mask_of(combined_at(view.joint[k], (height, width))))
            overlay = self._draw(view, k, seen) if self.asked.style is not None else None
        return Row(
            seen.id,
            size=seen.size,
            top=_top(view.probabilities[k], -view.probabilities[k], self.model, self.asked.top),
            true_class=self.request.true_class(Path("/", seen.id)),
            maps={level: values[k] for level, values in view.maps.items()},
            combined=view.joint[k],
            border=border if np.isfinite(border) else None,  # a map of zeros lies nowhere
            counts=counts,
            overlay=overlay,
        )

    def _problem(self, view: View, k: int, seen: Seen) -> str | None:
        for level, values in view.maps.items():
            if not np.isfinite(values[k]).all():
                return str(broken_map(self.model.name, level, seen.id))
        return _without_numbers(self.model, view.probabilities[k], seen.id)

    def _draw(self, view: View, k: int, seen: Seen) -> str:
        """Draws the combined map over the picture, which is decoded once more: at its own size it is not kept."""
        folder, file = seen.overlay
        assert isinstance(seen.content, Path | bytes)  # it was decoded
        assert self.asked.style is not None
        probabilities = view.probabilities[k]
        explanation = Explanation(
            read_picture(seen.content, seen.id),
            seen.id,
            "",
            probabilities,
            self.model.class_names(len(probabilities)),
            {level: values[k] for level, values in view.maps.items()},
            view.joint[k],
        )
        path = folder / f"{file}.{self.asked.format}"
        write_picture(path, explanation.overlay(COMBINED, self.asked.style), **FORMATS[self.asked.format])
        return path.relative_to(folder).as_posix()


class ClassesQuestion:
    """Classes alone, as `payattention.explaining.predicting` gives them."""

    def __init__(self, asked: Asked, model: Classifier) -> None:
        check_channels(model.in_channels)
        self.asked, self.model = asked, model

    def seen(self, id: str, content: Path | bytes, overlay: tuple[Path, str]) -> Seen:
        side, model = self.model.image_size, self.model
        decoded = decode_picture(content, id, side, model.in_channels)
        return Seen(id, to_size(decoded.picture, side, model.crop_mode), decoded.size, content, overlay)

    @torch.inference_mode()
    def answered(self, images: Float[Tensor, "n channels h w"], seen: Sequence[Seen]) -> list[Row]:
        logits = self.model(images)
        probabilities = self.model.probabilities(logits).cpu().numpy()
        order = -logits.float().cpu().numpy()
        rows = []
        for k, one in enumerate(seen):
            error = _without_numbers(self.model, probabilities[k], one.id)
            top = {} if error else _top(probabilities[k], order[k], self.model, self.asked.top)
            rows.append(Row(one.id, error, None if error else one.size, top))
        return rows


def _top(
    probabilities: NDArray[np.float32], order: NDArray[np.float32], model: Classifier, count: int
) -> dict[str, float]:
    """The most probable classes: those of the least `order`, the first of equals."""
    classes = model.class_names(len(probabilities))
    return {classes[k]: float(probabilities[k]) for k in np.argsort(order, kind="stable")[:count]}


def _without_numbers(model: Classifier, probabilities: NDArray[np.float32], name: str) -> str | None:
    if np.isfinite(probabilities).all():
        return None
    return f"{name}: {without_numbers(f'the logits of this {model.name}')}"
