"""Normalisation that lives inside a model as its first module, so that every model takes pixels in [0, 1].

Its statistics are buffers: saved with the weights, fitted on the training split only, reused for every other set. By
name: `mean_std`, `yuv_lcn`, `gcn_zca` and `none` (`PREPROCESSINGS`); what the authors used, method by method, is in
the classes' own words.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import prod
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from payattention.errors import UsageError
from payattention.system.names import Registry

Side = int | Tensor
"""Pixels; where a network is traced, PyTorch has them as a tensor."""


@runtime_checkable
class TrainingImages(Protocol):
    """Images uint8 (n, channels, h, w): a tensor of them, or what gives some at a time where memory has no room."""

    @property
    def shape(self) -> Sequence[int]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, some: slice, /) -> Tensor: ...

    def split(self, size: int, /) -> Iterable[Tensor]: ...


class Preprocessing(nn.Module):
    """Base class: `fit` takes the statistics of a training set, `forward` normalises images in [0, 1]."""

    only_size: int | None = None
    """Height and width in pixels of the images that it takes; None for any."""

    @classmethod
    def of(cls, channels: int) -> "Preprocessing":
        """A module for images of so many channels, not yet fitted.

        Raises:
            UsageError: It is for colours, and there are not three.
        """
        return cls()

    def check_size(self, height: Side, width: Side) -> None:
        """Raises UsageError for images of a size in pixels that it cannot take."""

    def forward(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n channels h w"]:
        raise NotImplementedError

    def fit(self, images: TrainingImages) -> None:
        """Takes its statistics from the images of a training set."""
        raise NotImplementedError


class MeanStd(Preprocessing):
    """(x - mean) / std per channel; mean .5 and std .25 until `fit` has seen a training set."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...] = (0.5,) * 3, std: tuple[float, ...] = (0.25,) * 3) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    @classmethod
    def of(cls, channels: int) -> "Preprocessing":
        return cls((0.5,) * channels, (0.25,) * channels)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return (images - as_type(self.mean, images.dtype)) / as_type(self.std, images.dtype)

    @torch.no_grad()
    def fit(self, images: TrainingImages) -> None:
        """Takes mean and deviation of each channel over all pixels of a training set."""
        mean, std = _moments(chunk.double() / 255 for chunk in _chunks(images))
        self.mean.copy_(mean.view(-1, 1, 1))
        self.std.copy_(std.view(-1, 1, 1))


class GivenMeanStd(MeanStd):
    """Statistics that belong to a backbone's weights: no training set replaces them."""

    @torch.no_grad()
    def fit(self, images: TrainingImages) -> None:
        pass


class YuvLcn(Preprocessing):
    """YUV with local contrast normalisation of Y, as the authors did for their VGG networks (`provider.lua`).

    RGB in 0 ... 255 becomes YUV. Y is normalised picture by picture within a Gaussian window of 7x7: the local mean
    is subtracted, then it is divided by the local deviation, which is at least 1e-4. Where the window reaches over the
    border, its zeros are corrected for by its response to ones. U and V are brought to mean 0 and deviation 1 over
    all pixels of the training set.
    """

    mean: Tensor
    std: Tensor
    yuv: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        rgb_to_yuv = [[0.299, 0.587, 0.114], [-0.14713, -0.28886, 0.436], [0.615, -0.51499, -0.10001]]
        gauss = torch.exp(-(((torch.arange(7.0) - 3) / 1.75) ** 2) / 2)  # Torch7's image.gaussian1D(7)
        self.register_buffer("yuv", torch.tensor(rgb_to_yuv), persistent=False)
        self.register_buffer("window", gauss / gauss.sum(), persistent=False)
        self.register_buffer("mean", torch.zeros(2, 1, 1))
        self.register_buffer("std", torch.full((2, 1, 1), 32.0))

    @classmethod
    def of(cls, channels: int) -> "Preprocessing":
        if channels != 3:
            raise UsageError(
                f"yuv_lcn is for the three channels of RGB, and these images have {channels}: take mean_std or none"
            )
        return cls()

    def forward(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n channels h w"]:
        with _without_autocast(images.device):
            yuv = self.to_yuv(at_least_float32(images))
            mean, std = (as_type(statistic, yuv.dtype) for statistic in (self.mean, self.std))
            return torch.cat([self.contrast_normalised(yuv[:, :1]), (yuv[:, 1:] - mean) / std], dim=1)

    @torch.no_grad()
    def fit(self, images: TrainingImages) -> None:
        """Takes mean and deviation of U and of V over all pixels of a training set."""
        mean, std = _moments(self.to_yuv(chunk.float() / 255)[:, 1:].double() for chunk in _chunks(images))
        self.mean.copy_(mean.view(-1, 1, 1))
        self.std.copy_(std.view(-1, 1, 1))

    def to_yuv(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n channels h w"]:
        """Y in 0 ... 255, U and V around 0."""
        return torch.einsum("yc,nchw->nyhw", as_type(self.yuv, images.dtype), images * 255)

    def contrast_normalised(self, y: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
        """Local contrast normalisation of one channel."""
        coverage = self._blurred(torch.ones_like(y[:1]))
        # the result does not depend on a picture's brightness: without it, flat areas come out as exactly 0
        y = y - y.mean((2, 3), keepdim=True)
        y = y - self._blurred(y) / coverage
        power = self._blurred(y.square()).clamp_min(1e-12)  # the root's gradient at 0 is infinite
        return y / (power.sqrt() / coverage).clamp_min(1e-4)

    def _blurred(self, x: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
        window = as_type(self.window, x.dtype)
        rows = F.conv2d(x, window.view(1, 1, 7, 1), padding=(3, 0))
        return F.conv2d(rows, window.view(1, 1, 1, 7), padding=(0, 3))


class GcnZca(Preprocessing):
    """Global contrast normalisation, then ZCA whitening: what the authors' residual networks were trained on.

    Each image less its mean is scaled to norm 55; then the mean image is subtracted and the whole image whitened by
    (C + 0.1)^(-1/2), C the covariance over the training set: pylearn2's CIFAR recipe, in values of 0 ... 255. The
    matrix is as large as the square of the number of values in an image (3072x3072 for 32x32), so only images of
    the size that it was made for can be taken.
    """

    SCALE = 55.0
    BIAS = 0.1
    mean: Tensor
    matrix: Tensor

    def __init__(self, size: int = 32, channels: int = 3) -> None:
        super().__init__()
        self.only_size = size
        self.register_buffer("mean", torch.zeros(channels * size * size))
        self.register_buffer("matrix", torch.eye(channels * size * size))

    @classmethod
    def of(cls, channels: int) -> "Preprocessing":
        return cls(channels=channels)

    def forward(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n channels h w"]:
        self.check_size(images.shape[2], images.shape[3])
        with _without_autocast(images.device):
            x = self.contrast_normalised(at_least_float32(images))
            return ((x - as_type(self.mean, x.dtype)) @ as_type(self.matrix, x.dtype)).view(images.shape)

    @torch.no_grad()
    def fit(self, images: TrainingImages) -> None:
        """Takes the mean image and the covariance of a training set."""
        self.check_size(images.shape[2], images.shape[3])
        count, dim = len(images), self.mean.numel()
        mean, second = torch.zeros(dim, dtype=torch.float64), torch.zeros(dim, dim, dtype=torch.float64)
        for chunk in _chunks(images):
            x = self.contrast_normalised(chunk.float() / 255).double().cpu()
            mean += x.sum(0) / count
            second.addmm_(x.T, x, alpha=1 / count)
        values, vectors = torch.linalg.eigh(second - mean.outer(mean))
        self.mean.copy_(mean)
        self.matrix.copy_(vectors * (values + self.BIAS).rsqrt() @ vectors.T)

    def contrast_normalised(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n d"]:
        """Each image as a vector of mean 0 and norm 55; a flat image as zeros."""
        x = images.flatten(1) * 255
        x = x - x.mean(1, keepdim=True)
        power = x.square().sum(1, keepdim=True).clamp_min(0.25)  # less is rounding: 8 bits differ by 1 or not at all
        return x * (self.SCALE / power.sqrt())

    def check_size(self, height: Side, width: Side) -> None:
        if (height, width) != (self.only_size, self.only_size):
            raise UsageError(
                f"gcn_zca whitens whole images of {self.only_size}x{self.only_size}, these are {width}x{height}; "
                "for other sizes, and recipes that train on smaller ones, take mean_std or yuv_lcn"
            )


class Unchanged(Preprocessing):
    """Pixels as they are, in [0, 1]: the paper normalises neither SVHN nor CUB-200-2011 (A.1)."""

    def forward(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n channels h w"]:
        return images

    def fit(self, images: TrainingImages) -> None:
        pass


def as_type(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """A tensor in a dtype; itself where it has that already, so that no graph holds a step that does nothing."""
    return tensor if tensor.dtype == dtype else tensor.to(dtype)


def at_least_float32(tensor: Tensor) -> Tensor:
    """A tensor in float32, or in the wider type that it has."""
    return as_type(tensor, torch.promote_types(tensor.dtype, torch.float32))


def _without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Float32 whatever the network runs in; the meta device, on which networks are only planned, knows no other."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


_PIXELS = 1024 * 32 * 32  # at a time: a float64 copy of the whole set may not fit

PREPROCESSINGS: Registry[Callable[[int], Preprocessing]] = Registry(
    "preprocessing",
    {
        "mean_std": MeanStd.of,
        "yuv_lcn": YuvLcn.of,
        "gcn_zca": GcnZca.of,
        "none": Unchanged.of,
    },
)
"""What makes them for images of so many channels, by name."""


def create_preprocessing(name: object, channels: int = 3) -> Preprocessing:
    """A module by its name, for images of so many channels, not yet fitted.

    Raises:
        UsageError: An unknown name, or one that is for RGB alone.
    """
    return PREPROCESSINGS[str(name)](channels)


def check_sizes(name: object, shares: Iterable[float]) -> None:
    """Raises UsageError if a preprocessing for one size would see training images of other sizes."""
    if name == "gcn_zca" and set(shares) != {1.0}:
        raise UsageError(
            "gcn_zca takes images of one size, and the recipe trains on smaller ones: add sizes=[1.0] to it"
        )


def _chunks(images: TrainingImages) -> Iterable[UInt8[Tensor, "n c h w"]]:
    """All images, in order, some at a time."""
    return images.split(max(1, _PIXELS // (images.shape[2] * images.shape[3])))


def _moments(chunks: Iterator[Float[Tensor, "n c h w"]]) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
    """Mean and deviation of each channel over all pixels."""
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for x in chunks:
        count += prod(x.shape) // x.shape[1]
        total = total + x.sum((0, 2, 3)).cpu()
        squares = squares + x.square().sum((0, 2, 3)).cpu()
    mean = total / count
    return mean, (squares / count - mean.square()).clamp_min(1e-8).sqrt()
