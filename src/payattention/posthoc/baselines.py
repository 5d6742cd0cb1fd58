"""What stands for "nothing to see here" where pixels are taken away: black, the mean colour, or the picture blurred.

No choice is neutral: a network may take black for night, and has seen no picture of one colour (Sturmfels et al.,
2020, "Visualizing the impact of feature attribution baselines"). So each method has its paper's choice, and takes
others.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from payattention.system.names import Registry


def mean_colour(images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n channels h w"]:
    """Each picture's own mean colour, everywhere."""
    return images.mean((2, 3), keepdim=True).expand_as(images)


def blurred(images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n channels h w"]:
    """Pictures of 4x4 pixels, enlarged to their old size: little of the class is left at any size."""
    return F.interpolate(F.adaptive_avg_pool2d(images, 4), images.shape[2:], mode="bilinear", align_corners=False)


BASELINES: Registry[Callable[[Tensor], Tensor]] = Registry(
    "baseline", {"black": torch.zeros_like, "mean": mean_colour, "blur": blurred}
)
"""By name."""


def baseline_of(images: Float[Tensor, "n channels h w"], name: str) -> Float[Tensor, "n channels h w"]:
    """What stands in place of the pictures' pixels.

    Raises:
        UsageError: An unknown name.
    """
    return BASELINES[name](images)
