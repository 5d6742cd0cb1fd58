"""What is asked of a model, whatever the pictures: at what size, by which method, and of which class."""

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from payattention.attention.maps import joint
from payattention.data.same_classes import same_class
from payattention.data.tensors import at_once
from payattention.errors import UsageError, broken_map
from payattention.explaining.explanation import Explanation
from payattention.explaining.explanations import ByClass
from payattention.explaining.inputs import as_input, chosen_size, seen_size
from payattention.explaining.methods import (
    ATTENTION,
    check_of_class,
    check_refinement,
    check_target,
    is_all,
    without_classes,
)
from payattention.models import Classifier
from payattention.models.class_activation_map import ClassMapped
from payattention.models.evaluating import evaluating
from payattention.models.prediction import TOP
from payattention.pictures.channels import with_channels
from payattention.pictures.drawing import check_scale
from payattention.posthoc import method as posthoc
from payattention.system.machine import device_of


@dataclass(frozen=True)
class Request:
    """Checked when it is made.

    Attributes:
        model: Who is asked.
        size: The pictures' shorter side as the model sees them, in pixels.
        target: A class by name or number, "all" for the five most probable, or None.
        method: "attention", or a post-hoc method's name.
        scale: How overlays colour a map.
        baseline: Of a post-hoc method that takes pixels away; None for its own.
        refine: "guided" to bring maps to the pictures' edges.

    Raises:
        UsageError: What this model cannot be asked.
    """

    model: Classifier
    size: int
    target: object = None
    method: str = ATTENTION
    scale: str = "own"
    baseline: str | None = None
    refine: str | None = None

    def __post_init__(self) -> None:
        check_scale(self.scale)
        check_refinement(self.refine)
        if self.method == ATTENTION:
            self.model.check_has_maps()
            if self.baseline is not None:
                raise UsageError(f"baseline {self.baseline!r}: attention takes no pixels away; name a method with one")
        elif (missing := posthoc(self.method).on(self.baseline).missing(self.model)) is not None:
            raise UsageError(missing)
        if self.target is not None:
            self._check_maps_are_of_classes()
            check_target(self.target, self.model.classes, len(self.model.classes) or None)

    @classmethod
    def of(
        cls,
        model: Classifier,
        *,
        size: object = None,
        target: object = None,
        method: str | None = None,
        scale: str = "own",
        baseline: str | None = None,
        refine: str | None = None,
    ) -> "Request":
        """With the model's own size for None, and its attention, or what a wrapped model is explained by.

        Raises:
            UsageError: As above; or a size that the model cannot look at, or channels that no picture has.
        """
        method = method or model.posthoc_method or ATTENTION
        return cls(model, chosen_size(model, size), target, method, scale, baseline, refine)

    @property
    def of_all(self) -> bool:
        """Whether each picture gets an explanation for each of its most probable classes."""
        return is_all(self.target, self.model.classes)

    def true_class(self, file: Path) -> str | None:
        """What a picture file is of: the class whose name its folder has, or the folder that that lies in."""
        folders = [folder.name for folder in file.absolute().parents[:2]]
        numbers = (same_class(name, self.model.classes) for name in folders)
        return next((self.model.classes[number] for number in numbers if number is not None), None)

    def answered(
        self, pictures: Sequence[Image.Image], names: Sequence[str], true_classes: Sequence[str | None] | None = None
    ) -> list[ByClass]:
        """The explanations of pictures, in order; those that are seen at equal sizes are looked at together.

        Args:
            pictures: RGB, or of the model's channels.
            names: What they are called.
            true_classes: What they are, None where that is not known.

        Raises:
            DataError: Maps with NaN or infinite values.
        """
        truths = true_classes or [None] * len(pictures)
        by_size: dict[tuple[int, int], list[int]] = {}
        for place, picture in enumerate(pictures):
            by_size.setdefault(seen_size(self.model, picture, self.size), []).append(place)
        found: dict[int, ByClass] = {}
        with torch.inference_mode(False), evaluating(self.model, device_of(self.model)) as device:
            for (width, height), places in by_size.items():
                count = at_once(device, height, width)
                for batch in (places[start : start + count] for start in range(0, len(places), count)):
                    images = torch.cat([as_input(self.model, pictures[place], self.size) for place in batch]).to(device)
                    own = [(pictures[place], names[place], truths[place]) for place in batch]
                    found.update(zip(batch, self._looked(own, images), strict=True))
        return [found[place] for place in range(len(pictures))]

    def _looked(
        self, pictures: Sequence[tuple[Image.Image, str, str | None]], images: Float[Tensor, "n channels h w"]
    ) -> list[ByClass]:
        """The explanations of one batch."""
        looks = [ByClass() for _ in pictures]
        for seen in self.views(images):
            for k, own in enumerate(pictures):
                explanation = self._explanation(seen, k, *own)
                looks[k][explanation.target or ""] = explanation
        return looks

    def views(self, images: Float[Tensor, "n channels h w"]) -> "Iterator[View]":
        """What the model says of a batch and its maps, once for each class that is asked for.

        Args:
            images: As the model sees them (`payattention.explaining.inputs`); for `evaluating`, on its device.
        """
        if self.method == ATTENTION and self.target is None:
            with torch.inference_mode():
                look = self.model.attend(images)
                maps = {level: look.maps[level] for level in self.model.levels}
                yield View.of(self.model, look.logits, maps, self.model.joint(maps), None)
            return
        if self.method != ATTENTION and not self.of_all and (self.target is None or self.model.classes):
            chosen = None if self.target is None else self._labels_of(images, len(self.model.classes))
            logits, read_out = posthoc(self.method).on(self.baseline).look(self.model, images, chosen)
            yield View.of(self.model, logits, read_out, joint(list(read_out.values())), chosen)
            return
        with torch.no_grad():
            logits = self.model(images)
        for labels in self._labels(logits):
            of_class = self._maps_of(images, labels)
            yield View.of(self.model, logits, of_class, joint(list(of_class.values())), labels)

    def _maps_of(self, images: Float[Tensor, "n channels h w"], labels: Tensor) -> Mapping[str, Tensor]:
        if self.method != ATTENTION:
            return posthoc(self.method).on(self.baseline).maps(self.model, images, labels)
        assert isinstance(self.model, ClassMapped)
        with torch.no_grad():
            return {self.model.levels[0]: self.model.class_map(images, labels).relu()}

    def _labels(self, logits: Float[Tensor, "n c"]) -> list[Tensor]:
        """The classes (n,) that maps are asked for, one after the other."""
        if self.of_all:
            return list(logits.topk(min(TOP, logits.shape[1]), dim=1).indices.unbind(1))
        return [self._labels_of(logits, logits.shape[1])]

    def _labels_of(self, batch: Tensor, count: int) -> Tensor:
        """The one class that is asked for, of so many, for each of a batch: (n,)."""
        return torch.full((len(batch),), self._number(count), device=batch.device)

    def _number(self, count: int) -> int:
        if isinstance(self.target, str):
            return self.model.classes.index(self.target)
        number = operator.index(self.target)  # type: ignore[arg-type]
        if not 0 <= number < count:
            raise UsageError(f"target {number}: the model's classes are 0 ... {count - 1}")
        return number

    def _explanation(self, seen: "View", k: int, picture: Image.Image, name: str, truth: str | None) -> Explanation:
        probabilities = seen.probabilities[k]
        classes = self.model.class_names(len(probabilities))
        for level in seen.maps:
            if not torch.from_numpy(seen.maps[level][k]).isfinite().all():
                raise broken_map(self.model.name, level, name)
        return Explanation(
            picture=with_channels(picture, 3),
            name=name,
            label=classes[int(probabilities.argmax())],
            probabilities=probabilities,
            classes=classes,
            maps={level: values[k] for level, values in seen.maps.items()},
            joint=seen.joint[k],
            method=self.method,
            target=None if seen.labels is None else classes[seen.labels[k]],
            scale=self.scale,
            true_class=truth,
            refine=self.refine,
        )

    def _check_maps_are_of_classes(self) -> None:
        if self.method != ATTENTION:
            check_of_class(self.method, self.target)
        elif not isinstance(self.model, ClassMapped):
            raise without_classes(f"the attention of {self.model.name}", self.target)


@dataclass(frozen=True)
class View:
    """A batch's answer as arrays: probabilities (n, C), maps (n, h, w), and the classes asked for (n,)."""

    probabilities: NDArray[Any]
    maps: Mapping[str, NDArray[Any]]
    joint: NDArray[Any]
    labels: list[int] | None

    @classmethod
    def of(
        cls, model: Classifier, logits: Tensor, maps: Mapping[str, Tensor], combined: Tensor, labels: Tensor | None
    ) -> "View":
        return cls(
            model.probabilities(logits.detach()).cpu().numpy(),
            {level: values.detach().float().cpu().numpy() for level, values in maps.items()},
            combined.detach().float().cpu().numpy(),
            None if labels is None else labels.tolist(),
        )
