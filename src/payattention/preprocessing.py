"""Normalisation that lives inside a model as its first module, so that every model takes pixels in [0, 1].

Its statistics are buffers: saved with the weights, fitted on the training split only, reused for every other set.
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn


class MeanStd(nn.Module):
    """(x - mean) / std per channel; mean .5 and std .25 until `fit` has seen a training set."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...] = (0.5,) * 3, std: tuple[float, ...] = (0.25,) * 3) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return (images - self.mean) / self.std

    @torch.no_grad()
    def fit(self, images: UInt8[Tensor, "n c h w"]) -> None:
        """Takes mean and deviation of each channel over all pixels of a training set."""
        sum_, squares = torch.zeros(2, images.shape[1], dtype=torch.float64)
        for chunk in images.split(1024):  # in chunks: a float64 copy of the whole set may not fit
            x = chunk.double() / 255
            sum_ += x.sum((0, 2, 3)).cpu()
            squares += x.square().sum((0, 2, 3)).cpu()
        mean, second = torch.stack([sum_, squares]) / (images.numel() / images.shape[1])
        self.mean.copy_(mean.view(-1, 1, 1))
        self.std.copy_((second - mean.square()).clamp_min(1e-8).sqrt().view(-1, 1, 1))


class GivenMeanStd(MeanStd):
    """Statistics that belong to a backbone's weights: no training set replaces them."""

    @torch.no_grad()
    def fit(self, images: UInt8[Tensor, "n c h w"]) -> None:
        pass
