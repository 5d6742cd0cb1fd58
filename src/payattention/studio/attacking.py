"""One picture under attack, beside plain noise of the same size: what a model says of each, and where it looks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from payattention.errors import UsageError
from payattention.evaluation.attack import predicted
from payattention.evaluation.attacks import FGSM, PGD, Noise
from payattention.explaining.explanation import COMBINED
from payattention.explaining.inputs import as_input
from payattention.explaining.levels import grid, in_words
from payattention.explaining.methods import ATTENTION, title_of
from payattention.figures.attack import as_picture
from payattention.figures.gallery.record import packed
from payattention.figures.self_contained import data_uri
from payattention.models import Classifier
from payattention.models.evaluating import evaluating
from payattention.models.prediction import TOP
from payattention.posthoc import own_maps
from payattention.studio.uploads import Uploaded
from payattention.system.machine import device_of
from payattention.system.names import check_known

ATTACKS = {"fgsm": FGSM, "pgd": PGD}
MOST = 16.0
"""The greatest size of the page's attacks, in steps of 8-bit pixels: the paper's."""


@dataclass(frozen=True)
class AttackOfOne:
    """Checked when it is made.

    Attributes:
        eps: The most by which any pixel value changes, of 255: 0 to 16.
        method: "fgsm" or "pgd".
        towards: The class that the picture is to be taken for; None for anything but what it is taken for.
        seed: Of noise and of PGD's random start.

    Raises:
        UsageError: A size out of range, or an unknown attack.
    """

    eps: float = 4.0
    method: str = "fgsm"
    towards: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.eps, bool) or not (math.isfinite(self.eps) and 0 <= self.eps <= MOST):
            raise UsageError(f"eps is {self.eps:g}: on this page it lies in 0 to {MOST:g} (of 255)")
        check_known("attack", ATTACKS, self.method)


@dataclass(frozen=True)
class Seen:
    """A picture as a model sees it.

    Attributes:
        title: What was done to it.
        image: Its pixels in [0, 1], (channels, h, w).
        top: The five most probable classes with their probabilities, the first one first.
        maps: By level, and combined where there are several, float32 (h, w) each on its own grid; none of a network
            that has none.
    """

    title: str
    image: Float[Tensor, "channels h w"]
    top: Mapping[str, float]
    maps: Mapping[str, NDArray[np.float32]]

    @property
    def picture(self) -> Image.Image:
        """To look at, in 8 bits."""
        return as_picture(self.image)


@dataclass(frozen=True)
class UnderAttack:
    """What an attack did to a picture.

    Attributes:
        model: As the page calls it.
        name: What the picture is called.
        how: The attack.
        method: By which method the maps are.
        versions: The picture as it is, attacked, and under noise of the same size.
    """

    model: str
    name: str
    how: AttackOfOne
    method: str
    versions: tuple[Seen, Seen, Seen]

    def change(self, version: int) -> Image.Image:
        """What was added to a version, magnified until `eps` is the whole range: grey where nothing was."""
        own, clean = self.versions[version].image, self.versions[0].image
        most = max(self.how.eps, 1e-6) / 255
        return as_picture((0.5 + (own - clean) / (2 * most)).clamp(0, 1))

    @property
    def said(self) -> str:
        """What came of it, in a sentence."""
        clean, attacked, noise = (next(iter(seen.top)) for seen in self.versions)
        after = f"is taken for {attacked} instead of {clean}" if attacked != clean else f"is still taken for {clean}"
        beside = f"makes it {noise}" if noise != clean else "changes nothing"
        return f"Under attack, the picture {after}; noise of the same size {beside}."

    def as_page(self) -> dict[str, Any]:
        """What the page draws from, to be written as JSON."""
        levels = in_words({level: own for level, own in self.versions[0].maps.items() if level != COMBINED})
        if COMBINED in self.versions[0].maps:
            levels[COMBINED] = f"{COMBINED}, {grid(self.versions[0].maps[COMBINED])}"
        return {
            "kind": "attack",
            "model": self.model,
            "name": self.name,
            "eps": self.how.eps,
            "said": self.said,
            "method": title_of(self.method),
            "levels": levels,
            "first": COMBINED if COMBINED in levels else next(iter(levels), ""),
            "versions": [self._version(k) for k in range(len(self.versions))],
        }

    def _version(self, number: int) -> dict[str, Any]:
        seen = self.versions[number]
        picture = seen.picture
        return {
            "title": seen.title,
            "width": picture.width,
            "height": picture.height,
            "picture": data_uri(picture),
            "change": data_uri(self.change(number)) if number else None,
            "classes": [[name, round(p, 6)] for name, p in seen.top.items()],
            "maps": {level: packed(values) for level, values in seen.maps.items()},
        }


def attacked(model: Classifier, uploaded: Uploaded, how: AttackOfOne, called: str = "") -> UnderAttack:
    """Attacks a picture as a model sees it.

    Raises:
        UsageError: A class that the model does not have.
        DataError: Logits that are no numbers.
    """
    noise, attack = Noise(), ATTACKS[how.method](towards=how.towards is not None)
    with torch.random.fork_rng(devices=[]), evaluating(model, device_of(model)) as device:
        torch.set_rng_state(torch.Generator().manual_seed(how.seed).get_state())
        clean = as_input(model, uploaded.picture).to(device)
        labels = predicted(model, clean) if how.towards is None else _class(model, how.towards, clean)
        images = torch.cat([clean, attack(model, clean, labels, how.eps), noise(model, clean, labels, how.eps)])
        with torch.no_grad():
            probabilities = model.probabilities(model(images)).cpu().numpy()
        maps = _maps(model, images)
    names = model.class_names(probabilities.shape[1])
    titles = ("as it is", f"under {how.method.upper()}", "under noise")
    versions = tuple(
        Seen(
            title,
            images[k].cpu(),
            {names[place]: float(own[place]) for place in np.argsort(-own, kind="stable")[:TOP]},
            {level: values[k] for level, values in maps.items()},
        )
        for k, (title, own) in enumerate(zip(titles, probabilities, strict=True))
    )
    assert len(versions) == 3
    return UnderAttack(called or model.name, uploaded.name, how, model.posthoc_method or ATTENTION, versions)


def _class(model: Classifier, name: str, images: Float[Tensor, "1 channels h w"]) -> Tensor:
    count = model.config.num_classes
    classes = model.class_names(count)
    check_known("class", classes, name)
    return torch.full((len(images),), classes.index(name), device=images.device)


def _maps(model: Classifier, images: Float[Tensor, "n channels h w"]) -> dict[str, NDArray[np.float32]]:
    """By level, (n, h, w), and combined where there are several."""
    if not (model.levels or model.posthoc_method):
        return {}
    maps = own_maps(model, images)
    joint = {COMBINED: model.joint(maps)} if len(maps) > 1 else {}
    return {level: values.detach().float().cpu().numpy() for level, values in {**maps, **joint}.items()}
