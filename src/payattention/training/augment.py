"""Batched augmentation of uint8 images, on whatever device they live.

The first half does something to each image of a batch; the second draws which images to mirror.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int, UInt8
from torch import Tensor


def mirrored(images: UInt8[Tensor, "n c h w"], which: Bool[Tensor, " n"]) -> UInt8[Tensor, "n c h w"]:
    """Flips the chosen images left to right."""
    return torch.where(which[:, None, None, None], images.flip(3), images)


def shifted(images: UInt8[Tensor, "n c h w"], offsets: Int[Tensor, "n 2"]) -> UInt8[Tensor, "n c h w"]:
    """Shifts image i down and right by `offsets[i]` pixels; the border is the picture's reflection."""
    y, x = _sources(images, offsets)
    return _gathered(images, _reflected(y, images.shape[2]), _reflected(x, images.shape[3]))


def shifted_onto_black(images: UInt8[Tensor, "n c h w"], offsets: Int[Tensor, "n 2"]) -> UInt8[Tensor, "n c h w"]:
    """Shifts image i down and right by `offsets[i]` pixels; the border is black."""
    height, width = images.shape[2:]
    y, x = _sources(images, offsets)
    inside = ((y >= 0) & (y < height))[:, None, :, None] & ((x >= 0) & (x < width))[:, None, None, :]
    return _gathered(images, y.clamp(0, height - 1), x.clamp(0, width - 1)) * inside


def cut_out(images: UInt8[Tensor, "n c h w"], centres: Int[Tensor, "n 2"], side: int) -> UInt8[Tensor, "n c h w"]:
    """Hides a square around `centres[i]` (row, column) of image i, or what of it lies inside (DeVries & Taylor 2017).

    It is filled with the batch's mean colour, which a network that normalises sees as about 0.
    """
    height, width = images.shape[2:]
    rows = torch.arange(height, device=images.device) - centres[:, :1]  # (n, h)
    columns = torch.arange(width, device=images.device) - centres[:, 1:]  # (n, w)
    low, high = -(side // 2), side - side // 2
    hidden = ((rows >= low) & (rows < high))[:, None, :, None] & ((columns >= low) & (columns < high))[:, None, None]
    colour = images.float().mean((0, 2, 3), keepdim=True).round().to(images.dtype)  # (1, c, 1, 1)
    return torch.where(hidden, colour, images)


def resized(images: UInt8[Tensor, "n c h w"], share: float) -> Tensor:
    """Float images in [0, 1], their sides shrunk to a share of what they were (antialiased)."""
    x = images.float() / 255
    if share == 1:
        return x
    size = [round(side * share) for side in images.shape[2:]]
    return F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)


def a_random_half(count: int, random: torch.Generator) -> Bool[Tensor, " n"]:
    """Exactly half of a batch (rounded down), as in the authors' scripts."""
    return torch.randperm(count, generator=random, device=random.device) < count // 2


def each_by_chance(count: int, random: torch.Generator) -> Bool[Tensor, " n"]:
    """Each image with probability 1/2."""
    return torch.rand(count, generator=random, device=random.device) < 0.5


def alternating(count: int, epoch: int, random: torch.Generator) -> Bool[Tensor, " n"]:
    """Each image of a *set* every other epoch, half of them in the first (Jordan 2024: airbench).

    The generator must be in the same state in every epoch: it decides who begins. Over any two epochs in turn, each
    image is seen both ways.
    """
    return each_by_chance(count, random) ^ bool(epoch % 2)


def _sources(
    images: UInt8[Tensor, "n c h w"], offsets: Int[Tensor, "n 2"]
) -> tuple[Int[Tensor, "n h"], Int[Tensor, "n w"]]:
    """Row and column that each pixel of the shifted images comes from; outside the image, too."""
    height, width = images.shape[2:]
    y = torch.arange(height, device=images.device) - offsets[:, :1]
    x = torch.arange(width, device=images.device) - offsets[:, 1:]
    return y, x


def _gathered(
    images: UInt8[Tensor, "n c h w"], y: Int[Tensor, "n h"], x: Int[Tensor, "n w"]
) -> UInt8[Tensor, "n c h w"]:
    rows = torch.arange(len(images), device=images.device)[:, None, None]
    channels_last = images.permute(0, 2, 3, 1)  # (n, h, w, c)
    return channels_last[rows, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)


def _reflected(index: Int[Tensor, "n k"], length: int) -> Int[Tensor, "n k"]:
    """Indices folded back into 0 ... length-1, the edge pixel not repeated."""
    return (length - 1) - ((length - 1) - index.abs()).abs()
