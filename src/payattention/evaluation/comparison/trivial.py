"""Maps that look at nothing: what every other map has to beat."""

import torch
from jaxtyping import Float
from torch import Tensor


def all_ones(n: int, h: int, w: int) -> Float[Tensor, "n h w"]:
    """Everything is object."""
    return torch.ones(n, h, w)


def centred_gaussian(n: int, h: int, w: int) -> Float[Tensor, "n h w"]:
    """The photographer's habit: a Gaussian about the picture's centre, its deviation a quarter of each side; peak 1."""
    rows, columns = (torch.linspace(-2, 2, 2 * side + 1)[1::2] for side in (h, w))  # pixel centres, in deviations
    return torch.exp(-(rows[:, None] ** 2 + columns**2) / 2).expand(n, h, w).contiguous()


def random_maps(n: int, h: int, w: int, random: torch.Generator) -> Float[Tensor, "n h w"]:
    """Independent uniform noise at every pixel."""
    return torch.rand(n, h, w, generator=random)
