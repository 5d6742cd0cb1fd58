"""One picture in, one explanation out: what a model says it is, and where it looked."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from payattention.attention.maps import otsu_mask, stretched, upsampled
from payattention.errors import DataError, UsageError
from payattention.models import Classifier
from payattention.models.modes import evaluating
from payattention.pictures.drawing import contact_sheet, overlay
from payattention.pictures.reading import read_picture
from payattention.system.files import write_array, write_json, write_picture
from payattention.system.machine import device_of

MAX_SIZE = 2048
"""A picture is looked at with a shorter side of at most so many pixels."""
_LONGEST = 4
"""A picture longer than so many times its shorter side is squeezed, to bound the cost."""


@dataclass(frozen=True)
class Explanation:
    """What a model says of one picture.

    Attributes:
        picture: The picture, RGB, at its own size (H, W).
        label: The predicted class.
        probabilities: By class, float32 (C,), in the order of `classes`.
        classes: The class names.
        maps: By level, float32 (h, w) on the level's own grid, as the model gives them.
        heatmaps: By level, float32 (H, W) in 0 ... 1: the map at the picture's size.
        combined: float32 (H, W) in 0 ... 1: the last two levels as one (`payattention.attention.maps.combined`).
        mask: bool (H, W): where `combined` exceeds Otsu's threshold.
    """

    picture: Image.Image
    label: str
    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]
    maps: Mapping[str, NDArray[np.float32]]
    heatmaps: Mapping[str, NDArray[np.float32]]
    combined: NDArray[np.float32]
    mask: NDArray[np.bool_]

    @property
    def probability(self) -> float:
        """The predicted class's probability."""
        return float(self.probabilities.max())

    @cached_property
    def panels(self) -> dict[str, Image.Image]:
        """The picture, an overlay a level, and the combined map's: the columns of a contact sheet."""
        overlays = {name: overlay(self.picture, heat) for name, heat in self.heatmaps.items()}
        return {"picture": self.picture, **overlays, "combined": overlay(self.picture, self.combined)}

    def sheet(self, title: str = "") -> Image.Image:
        """The panels side by side."""
        caption = f"{title} {self.label} ({self.probability:.0%})".strip()
        return contact_sheet([list(self.panels.values())], list(self.panels), [caption])

    def save(self, out: str | Path, name: str = "picture") -> dict[str, str]:
        """Writes raw maps (.npy), overlays (.png), mask and a sheet into a folder, all named after `name`.

        Returns:
            The files' names by what they hold, as in the `NAME.json` that is written last.
        """
        folder = Path(out)
        files: dict[str, str] = {}
        for level, values in self.maps.items():
            files[f"{level} map"] = write_array(folder / f"{name}.{level}.npy", values)
        pictures = {
            **{f"{panel} overlay": image for panel, image in self.panels.items() if panel != "picture"},
            "mask": Image.fromarray(self.mask),
            "sheet": self.sheet(name),
        }
        for what, image in pictures.items():
            files[what] = write_picture(folder / f"{name}.{what.removesuffix(' overlay')}.png", image)
        facts = {
            "label": self.label,
            "probabilities": dict(zip(self.classes, map(float, self.probabilities), strict=True)),
            "size": {"width": self.picture.width, "height": self.picture.height},
            "files": files,
        }
        write_json(folder / f"{name}.json", facts)
        return files


@torch.inference_mode()
def explain(model: Classifier, picture: str | Path | Image.Image, *, size: int | None = None) -> Explanation:
    """Classifies one picture and shows where the model looked.

    The whole picture is seen: it is scaled until its shorter side has `size` pixels, its proportions kept (a picture
    over four times as long as wide is squeezed to that, to bound the cost).

    Args:
        model: A model with attention maps.
        picture: A file of any format that Pillow reads, or an RGB picture.
        size: Pixels, up to `MAX_SIZE`; by default the size that the model was trained on.

    Raises:
        UsageError: A model without maps, or a size too small for it.
        DataError: A file that is missing, damaged or not a picture; or maps of it with NaN or infinite values.
    """
    check_can_explain(model, size)
    if not isinstance(picture, Image.Image):
        picture = read_picture(Path(picture))
    images = as_input(picture, model.image_size if size is None else size)
    with evaluating(model, device_of(model)) as device:
        look = model.attend(images.to(device))
    maps = {name: look.maps[name].float().cpu() for name in model.levels}
    for name, level in maps.items():
        if not level.isfinite().all():
            raise DataError(f"{model.name}'s map {name} of this picture holds NaN or infinite values")
    own = (picture.height, picture.width)
    heat = stretched(upsampled(model.combined(maps), own))[0]
    probabilities = look.logits.float().softmax(1)[0].cpu().numpy()
    classes = model.classes or tuple(map(str, range(len(probabilities))))
    return Explanation(
        picture=picture,
        label=classes[int(probabilities.argmax())],
        probabilities=probabilities,
        classes=classes,
        maps={name: level[0].numpy() for name, level in maps.items()},
        heatmaps={name: stretched(upsampled(level, own))[0].numpy() for name, level in maps.items()},
        combined=heat.numpy(),
        mask=otsu_mask(heat).numpy(),
    )


def check_can_explain(model: Classifier, size: int | None = None) -> None:
    """Raises UsageError for a model without maps, or a size that it cannot look at."""
    model.check_has_maps()
    if size is not None:
        check_size(model, size)


def check_size(model: Classifier, size: int) -> None:
    """Raises UsageError for a size in pixels that a model cannot look at."""
    if not model.min_size <= size <= MAX_SIZE:
        raise UsageError(f"size is {size} pixels: {model.name} takes {model.min_size} to {MAX_SIZE}")


def as_input(picture: Image.Image, size: int) -> torch.Tensor:
    """A picture as a model sees it, (1, 3, h, w) in [0, 1]: its shorter side `size` pixels, its proportions kept."""
    scale = size / min(picture.size)
    width, height = (min(max(size, round(side * scale)), _LONGEST * size) for side in picture.size)
    scaled = picture if picture.size == (width, height) else picture.resize((width, height), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(scaled.convert("RGB")))  # (height, width, 3)
    return pixels.permute(2, 0, 1)[None].float() / 255
