"""Batched augmentation of uint8 images, on whatever device they live."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int, UInt8
from torch import Tensor


def mirrored(images: UInt8[Tensor, "n c h w"], which: Bool[Tensor, "n"]) -> UInt8[Tensor, "n c h w"]:
    """Flips the chosen images left to right."""
    return torch.where(which[:, None, None, None], images.flip(3), images)


def shifted(images: UInt8[Tensor, "n c h w"], offsets: Int[Tensor, "n 2"]) -> UInt8[Tensor, "n c h w"]:
    """Shifts image i down and right by `offsets[i]` pixels; the border is the picture's reflection."""
    n, _, height, width = images.shape
    y = _reflected(torch.arange(height, device=images.device) - offsets[:, :1], height)  # (n, h)
    x = _reflected(torch.arange(width, device=images.device) - offsets[:, 1:], width)  # (n, w)
    rows = torch.arange(n, device=images.device)[:, None, None]
    channels_last = images.permute(0, 2, 3, 1)  # (n, h, w, c)
    return channels_last[rows, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)


def resized(images: UInt8[Tensor, "n c h w"], share: float) -> Tensor:
    """Float images in [0, 1], their sides shrunk to a share of what they were (antialiased)."""
    x = images.float() / 255
    if share == 1:
        return x
    size = [round(side * share) for side in images.shape[2:]]
    return F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)


def _reflected(index: Int[Tensor, "n k"], length: int) -> Int[Tensor, "n k"]:
    """Indices folded back into 0 ... length-1, the edge pixel not repeated."""
    return (length - 1) - ((length - 1) - index.abs()).abs()
