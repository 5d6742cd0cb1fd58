"""A frozen backbone's features, computed once and kept, and the many networks that experiments train on them."""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file, save_file

import payattention as pa
from payattention.data import limited, of_classes
from payattention.data.load import in_form
from payattention.models.attentive import AttentiveClassifier
from payattention.pictures.reading import mask_to_size
from payattention.system.machine import chosen_device
from payattention.training.features import FeatureClassifier, FeatureSet
from payattention.training.fit import fit_on_features, new_model
from payattention.training.recipe import load_recipe
from trained import birds, caltech101, pets

BACKBONE, RECIPE, SIZE = "timm:tf_efficientnet_lite0", "probe", 224
ROOTS: Mapping[str, Callable[[], AbstractContextManager[Path]]] = {
    "caltech101": caltech101,
    "oxford_pets": pets,
    "cub200_whole": birds,
}
"""By the name of a set, a data root for a while in which it lies."""
DIGITS = {"train": 600, "test": 200}
"""So many of the embedded set, whose pictures are as much work as photographs once they have a backbone's size."""


def model_for(data: pa.ImageSet, seed: int, **options: Any) -> AttentiveClassifier:
    """What `payattention train --freeze` begins with."""
    model = new_model(BACKBONE, data, load_recipe(RECIPE), seed=seed, pretrained=True, freeze=True, **options)
    assert isinstance(model, AttentiveClassifier)
    return model


class Frozen:
    """The sets as squares, and the backbone's features of them.

    Args:
        folder: Where features are kept.
        limit: At most so many pictures of each split, to try things.
        console: Where progress is shown.
        border: Whether the border that the pets' annotators left undecided is the animal's; else it is background.
    """

    def __init__(self, folder: Path, limit: int | None, console: Console, *, border: bool = True) -> None:
        self.folder, self.limit, self.console, self.border = folder, limit, console, border
        self.pictures = cache(self._pictures)  # by name, split and crop mode
        self.features = cache(self._features)  # by name, split, crop mode and deepest level

    def _pictures(self, name: str, split: str, crop_mode: str) -> pa.ImageSet:
        if name == "cluttered_digits":
            return in_form(limited(pa.load_data(name, split), min(self.limit or DIGITS[split], DIGITS[split])), SIZE, 3)
        with ROOTS[name]() as root:
            data = pa.load_data(name, split, root=root, image_size=SIZE, crop_mode=crop_mode)
            masks = _with_border(data, root, crop_mode) if name == "oxford_pets" and self.border else data.masks
            data = replace(data, images=np.array(data.images), masks=masks)  # in memory, since the folder goes
        return limited(data, self.limit or len(data))

    def _features(self, name: str, split: str, crop_mode: str, deepest: str) -> FeatureSet:
        data = self.pictures(name, split, crop_mode)
        file = self.folder / f"{name}-{split}-{crop_mode}-{deepest}-{len(data)}.safetensors"
        if not file.is_file():
            model = model_for(data, 0, deepest=deepest)
            file.parent.mkdir(parents=True, exist_ok=True)
            found = FeatureSet.of(model, data, chosen_device(), file.with_suffix(""), console=self.console)
            save_file({level: values.contiguous() for level, values in found.in_memory().items()}, file)
        return FeatureSet(load_file(file), torch.from_numpy(data.labels))


@dataclass(frozen=True)
class Way:
    """How attention is set up: the network's options, and how its training pictures become squares.

    Attributes:
        options: Of the network, beside a pre-trained frozen backbone.
        crop_mode: How pictures become squares.
        deepest: The last level that is attended to.
        most: Classes that it is trained on.
    """

    options: Mapping[str, Any]
    crop_mode: str = "squash"
    deepest: str = "stage"
    most: int = 101


@dataclass(frozen=True)
class Classes:
    """What is trained on: a set, or its first classes."""

    data: str
    first: int | None = None

    def of(self, data: pa.ImageSet) -> pa.ImageSet:
        return data if self.first is None else of_classes(data, data.classes[: self.first])


def trained(way: Way, on: Classes, frozen: Frozen, seed: int) -> AttentiveClassifier:
    """A network, trained as `payattention train --freeze` does it."""
    data = on.of(frozen.pictures(on.data, "train", way.crop_mode))
    model = model_for(data, seed, deepest=way.deepest, **way.options)
    features = features_of(model, way, on, frozen, "train")
    fit_on_features(FeatureClassifier(model), features, load_recipe(RECIPE), seed=seed)
    return model


def features_of(model: AttentiveClassifier, way: Way, on: Classes, frozen: Frozen, split: str) -> FeatureSet:
    """Those of the classes that a model knows, at its levels."""
    features = frozen.features(on.data, split, way.crop_mode, way.deepest)
    return of_first(features, len(model.classes)).only(model.levels)


def command(way: Way, on: Classes, model: AttentiveClassifier, seed: int) -> str:
    """What trains the same network."""
    options = {**way.options, **({} if way.deepest == "stage" else {"deepest": way.deepest})}
    sets = [f"--set {name}={json.dumps(value).strip(chr(34))}" for name, value in options.items()]
    crop = [] if way.crop_mode == "center" else [f"--crop-mode {way.crop_mode}"]
    part = [] if on.first in (None, 101) else [f"--classes {','.join(model.classes)}"]
    limit = [f"--limit {DIGITS['train']}"] if on.data == "cluttered_digits" else []
    parts = [f"payattention train --model {BACKBONE} --pretrained --freeze", *crop, *sets, f"--data {on.data}"]
    return " ".join([*parts, *part, *limit, f"--seed {seed}"])


def of_first(features: FeatureSet, count: int) -> FeatureSet:
    """The pictures of the first classes."""
    chosen = torch.nonzero(features.labels < count)[:, 0]
    return FeatureSet(
        {name: values[:, chosen] for name, values in features.in_memory().items()}, features.labels[chosen]
    )


def _with_border(pets: pa.ImageSet, root: Path, crop_mode: str) -> NDArray[np.bool_]:
    """The masks of the animals together with the border that the annotators left undecided (2 is background)."""
    folder = root / "oxford_pets" / "oxford-iiit-pet" / "annotations" / "trimaps"
    masks = []
    for number in range(len(pets)):
        with Image.open(folder / f"{Path(pets.name_of(number)).stem}.png") as trimap:
            masks.append(mask_to_size(np.asarray(trimap) != 2, pets.image_size, crop_mode))
    return np.stack(masks)
