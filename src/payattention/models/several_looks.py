"""Several looks at one picture, mirrored and enlarged, and the mean of their maps: test-time averaging.

A map that is noise changes when the picture is mirrored or seen larger; what the model looks for does not. The
prediction stays that of the picture as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from payattention.attention.maps import alike
from payattention.system.names import check_known

if TYPE_CHECKING:
    from payattention.models.classifier import Look

MIRROR, SCALES = "mirror", "scales"
LARGER = 1.25
"""By how much a picture is enlarged for the second of two scales."""


@dataclass(frozen=True)
class View:
    """A picture as it is seen once more: mirrored left to right or not, and so many times as large."""

    mirrored: bool
    scale: float

    def of(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n channels H W"]:
        """The images as they are seen."""
        if self.scale != 1:
            size = [round(side * self.scale) for side in images.shape[2:]]
            images = F.interpolate(images, size, mode="bicubic", align_corners=False).clamp(0, 1)
        return images.flip(3) if self.mirrored else images

    def back(self, maps: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
        """A map of what is seen as one of the images."""
        return maps.flip(2) if self.mirrored else maps


def views_of(names: str) -> tuple[View, ...]:
    """The further views that a user names: "mirror", "scales", or "mirror,scales", which are all four but the plain.

    Raises:
        UsageError: Another name.
    """
    asked = [name.strip() for name in names.split(",")]
    check_known("view to average over", (MIRROR, SCALES), *asked)
    every = [View(mirrored, scale) for scale in (1.0, LARGER) for mirrored in (False, True)]
    return tuple(
        view for view in every[1:] if (MIRROR in asked or not view.mirrored) and (SCALES in asked or view.scale == 1)
    )


def averaged(
    look: Callable[[Tensor], "Look"], images: Float[Tensor, "n channels h w"], views: Sequence[View]
) -> "Look":
    """The look at images as they are, with maps that are the mean over it and some views; all else is the plain look's.

    A level's maps are brought to the finest of its grids, and to the mean value that the plain one has, so that all
    views weigh alike.
    """
    plain = look(images)
    if not views:
        return plain
    others = [(view, look(view.of(images)).maps) for view in views]
    return replace(
        plain,
        maps={
            level: _mean([map_, *(view.back(maps[level]) for view, maps in others)])
            for level, map_ in plain.maps.items()
        },
    )


def _mean(maps: Sequence[Float[Tensor, "n _ _"]]) -> Float[Tensor, "n H W"]:
    return maps[0].mean((1, 2), keepdim=True) * torch.stack(alike(maps)).mean(0)
