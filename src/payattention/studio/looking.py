"""One picture under all that the page shows of it: trained maps and post-hoc ones, of one class and of several."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from payattention.attention.maps import otsu_threshold, stretched, upsampled
from payattention.explaining.explanation import COMBINED, Explanation
from payattention.explaining.levels import grid, in_words
from payattention.explaining.methods import ALL, ATTENTION, title_of
from payattention.explaining.request import Request
from payattention.figures.gallery.record import packed, shrunk
from payattention.figures.self_contained import data_uri
from payattention.models import Classifier
from payattention.models.class_activation_map import ClassMapped
from payattention.posthoc import METHODS
from payattention.studio.uploads import Uploaded
from payattention.system.names import check_known

SIDE = 1024
"""Pixels of a picture's longer side on the page at most; files have its own size."""
_MASKED_AT = 256  # pixels of the longer side at which a map's threshold is looked for
_OF_CLASSES = ("grad_cam", "gradient_attention", "gradient")
"""Methods whose maps are of a class, the first that a network can have is shown."""


@dataclass(frozen=True)
class Looked:
    """What a model says of a picture.

    Attributes:
        model: As the page calls it.
        explanations: The model's own maps first, or the post-hoc ones that it is explained by; of a method whose maps
            are of a class, one for each of the five most probable, the most probable first.
        about_classes: Whether the model's attention is of a class, in a sentence.
        size: The picture's width and height in its file.
    """

    model: str
    explanations: tuple[Explanation, ...]
    about_classes: str
    size: tuple[int, int]

    @property
    def first(self) -> Explanation:
        """The one that is shown at first."""
        return self.explanations[0]

    def as_page(self) -> dict[str, Any]:
        """What the page draws from, to be written as JSON."""
        picture = shrunk(self.first.picture, SIDE)
        return {
            "kind": "look",
            "model": self.model,
            "name": self.first.name,
            "size": list(self.size),
            "width": picture.width,
            "height": picture.height,
            "picture": data_uri(picture),
            "label": self.first.label,
            "classes": [[name, round(p, 6)] for name, p in self.first.top.items()],
            "about": self.about_classes,
            "notes": list(self.first.notes),
            "sources": [_source(one) for one in self.explanations],
        }


def look(model: Classifier, uploaded: Uploaded, more: Sequence[str] = (), called: str = "") -> Looked:
    """All that is shown of a picture at first, and by some more post-hoc methods.

    Args:
        model: Any.
        uploaded: The picture.
        more: Names of `more_methods`.
        called: What the page calls the model.

    Raises:
        UsageError: A method that the model does not have.
    """
    check_known(f"method for {model.name}", more_methods(model), *more)
    explanations: list[Explanation] = []
    for method in (*first_methods(model), *more):
        request = Request.of(model, method=method, target=ALL if _is_of_class(model, method) else None)
        (by_class,) = request.answered([uploaded.picture], [uploaded.name])
        explanations += by_class.values()
    return Looked(called or model.name, tuple(explanations), about_classes(model), uploaded.size)


def first_methods(model: Classifier) -> list[str]:
    """What is shown of any picture: attention that was trained, a method whose maps are of classes, activation."""
    own = [ATTENTION] if model.posthoc_method is None and model.levels else []
    asked = (model.posthoc_method, *_OF_CLASSES) if model.posthoc_method else _OF_CLASSES
    of_class = next(name for name in asked if METHODS[name].missing(model) is None)
    plain = [name for name in ("activation",) if METHODS[name].missing(model) is None]
    return list(dict.fromkeys([*own, of_class, *plain]))


def more_methods(model: Classifier) -> dict[str, str]:
    """The other methods that can run on a model within seconds, by name: their titles."""
    shown = first_methods(model)
    return {
        name: method.title
        for name, method in METHODS.items()
        if name not in shown and not method.costly and method.missing(model) is None
    }


def about_classes(model: Classifier) -> str:
    """Whose maps a model's own are, for who chooses a class."""
    of_class = title_of(next(name for name in first_methods(model) if name != ATTENTION))
    if model.posthoc_method is not None or not model.levels:
        return (
            f"This network was not trained to attend: its maps are read out afterwards; {of_class}'s are of one class."
        )
    if isinstance(model, ClassMapped):
        return "This network's own map is of one class: choose a class to see where its evidence lies."
    return (
        "This network's attention is one map whatever the class: it picks what every class is judged by. "
        f"A class's own map is {of_class}'s, read out afterwards."
    )


def _is_of_class(model: Classifier, method: str) -> bool:
    return isinstance(model, ClassMapped) if method == ATTENTION else METHODS[method].of_class


def _source(one: Explanation) -> dict[str, Any]:
    several = len(one.maps) > 1
    maps = {**one.maps, **({COMBINED: one.joint} if several else {})}
    words = {**in_words(one.maps), COMBINED: f"{COMBINED}, {grid(one.joint)}"}
    return {
        "method": one.method,
        "title": title_of(one.method),
        "trained": one.method == ATTENTION,
        "target": one.target,
        "maps": {
            level: {**packed(values), "title": words[level], "mask": mask_at(values, one)}
            for level, values in maps.items()
        },
        "first": COMBINED if several else next(iter(maps)),
    }


def mask_at(values: NDArray[np.float32], one: Explanation) -> float | None:
    """Otsu's threshold of a map, in 0 ... 1 of its range, where it is enlarged bilinearly; None for a constant map."""
    scale = min(1.0, _MASKED_AT / max(one.picture.size))
    size = (max(1, round(one.picture.height * scale)), max(1, round(one.picture.width * scale)))
    heat = upsampled(stretched(torch.from_numpy(values)[None]), size)[0].numpy()
    low, high = float(heat.min()), float(heat.max())
    if low == high:
        return None
    return round(otsu_threshold(heat), 5)
