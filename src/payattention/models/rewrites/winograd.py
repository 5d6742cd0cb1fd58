"""3x3 convolutions with a quarter of the multiplications: Winograd's minimal filtering, F(4x4, 3x3).

Lavin & Gray (2016), "Fast Algorithms for Convolutional Neural Networks". The output is made in tiles of 4x4, each from
6x6 inputs d: Y = A^T [(G w G^T) * (B^T d B)] A, where * multiplies element by element. Summed over channels, that is 36
matrix products, 36 multiplications for what takes 16 * 9 = 144. For PyTorch on a CPU in float32, whose direct
convolutions run at the processor's peak and so cannot become any faster.

The price is rounding, about four times that of a direct convolution, and weights that take four times their memory
while they are used.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from payattention.errors import UsageError
from payattention.models.classifier import Classifier

TILE = 4
_PATCH = TILE + 2
_CACHE = (2 * 2**20, 8 * 2**20)
"""Bytes of transformed input at a time, at least and at most: more falls out of a processor's cache."""
_MIN_CHANNELS = 64
"""Below, the transforms cost more than the products save."""
_PRODUCTS, _TRANSFORMS, _WEIGHTS = 32, 6900, 6.5
"""Measured costs in training: see `faster_in_training`."""

_B = torch.tensor(((4.0, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0),
                   (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1)))  # B^T  # fmt: skip
_G = torch.tensor(((1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6),
                   (1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0, 0, 1)))  # fmt: skip
_A = torch.tensor(((1.0, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)))  # A^T


def winograd(model: Classifier) -> Classifier:
    """A copy of a model whose 3x3 convolutions run by Winograd's algorithm wherever that is faster: CPU, float32.

    Same parameters, so it is saved, loaded and trained like the model; the same logits and maps but for rounding. On
    other devices, in other precisions and under autocast it computes as the model does. Of a folded model, take
    `winograd(fold(model))`.

    Raises:
        UsageError: No convolution that it could do.
    """
    fast = copy.deepcopy(model)
    names = suitable(fast)
    if not names:
        raise UsageError(f"{model.name} has no 3x3 convolution of stride 1 that Winograd's algorithm could do faster")
    for name in names:
        fast.set_submodule(name, WinogradConv2d.of(fast.get_submodule(name)))
    return fast


@contextmanager
def by_winograd(model: nn.Module) -> Iterator[None]:
    """While it is entered, a model's own convolutions are trained by Winograd's algorithm wherever that is faster.

    In place: the modules, their parameters and the names of both stay what they are, so whatever holds them, an
    optimizer or a hook, needs no telling.
    """
    convolutions = [model.get_submodule(name) for name in suitable_in_training(model)]
    for convolution in convolutions:
        convolution.__class__ = WinogradConv2d
    try:
        yield
    finally:
        for convolution in convolutions:
            convolution.__class__ = nn.Conv2d
            convolution.__dict__.pop("_kept", None)


def suitable(model: nn.Module) -> list[str]:
    """Names of the convolutions that it is faster for."""
    return [name for name, module in model.named_modules() if _suits(module)]


def suitable_in_training(model: nn.Module) -> list[str]:
    """Names of the convolutions that it trains faster, given pictures enough."""
    return [name for name, module in model.named_modules() if _suits(module) and _may_pay(module)]


def _may_pay(conv: nn.Conv2d) -> bool:
    return faster_in_training((2**20, conv.in_channels, TILE, TILE), conv.out_channels)


def _suits(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    return (
        type(module) is nn.Conv2d
        and module.kernel_size == (3, 3)
        and module.stride == module.dilation == (1, 1)
        and module.padding in ((1, 1), "same")
        and module.padding_mode == "zeros"
        and module.groups == 1
        and min(module.in_channels, module.out_channels) >= _MIN_CHANNELS
    )


def faster_in_training(shape: Sequence[int], out_channels: int) -> bool:
    """Whether both passes over images of a shape (n, c, h, w) cost a tenth less than those of a direct convolution.

    Counted in multiplications for each pair of an input and an output channel. The direct way takes 9 for each pixel,
    Winograd's 36 for each tile; besides, it transforms the tiles of each channel, and the weights once a batch. The
    figures were fitted to times measured on one core with AVX2 (`benchmarks/winograd.py`, results/winograd.json), from
    4x4 to 32x32 pixels, 64 to 512 channels and 4 to 64 images. They do not depend on the machine or its load, so that a
    run which goes on elsewhere computes what it would have.
    """
    count, in_channels, height, width = shape
    tiles = count * -(-height // TILE) * -(-width // TILE)
    channels = 2 / (1 / in_channels + 1 / out_channels)
    cost = tiles * (_PRODUCTS + _TRANSFORMS / channels) + _WEIGHTS * channels
    return cost < 0.9 * 9 * count * height * width


class WinogradConv2d(nn.Conv2d):
    """A 3x3 convolution of stride 1 and padding 1; its parameters are a direct convolution's."""

    _kept: tuple[tuple[int, int], Tensor] | None = None

    @classmethod
    def of(cls, conv: nn.Module) -> "WinogradConv2d":
        """The same convolution; shares its parameters."""
        assert isinstance(conv, nn.Conv2d)
        with torch.device("meta"):
            fast = cls(conv.in_channels, conv.out_channels, 3, padding=1, bias=conv.bias is not None)
        fast.weight, fast.bias = conv.weight, conv.bias
        return fast.train(conv.training)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h w"]:
        if not self._pays(images):
            return super().forward(images)
        if torch.is_grad_enabled():
            y: Tensor = _Winograd.apply(images, self.weight, self.bias)
            return y
        return convolved(images, self._transformed(), self.bias)

    def _pays(self, images: Tensor) -> bool:
        plain = images.device.type == "cpu" and images.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        if not plain or min(images.shape[2:]) < TILE or torch.compiler.is_compiling():
            return False
        return not torch.is_grad_enabled() or faster_in_training(images.shape, self.out_channels)

    def _transformed(self) -> Float[Tensor, "36 c d"]:
        """The transformed weights, kept until the weights change."""
        state = (self.weight.data_ptr(), self.weight._version)
        if self._kept is None or self._kept[0] != state:
            self._kept = (state, transformed(self.weight))
        return self._kept[1]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_kept"}


class _Winograd(torch.autograd.Function):
    """Both passes: the input's gradient is a convolution, too, the weights' a sum over the tiles."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(images, weight)
        return convolved(images, transformed(weight), bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        images, weight = ctx.saved_tensors
        need_images, need_weight, need_bias = ctx.needs_input_grad
        turned = weight.flip(2, 3).transpose(0, 1)
        return (
            convolved(grad, transformed(turned), None) if need_images else None,
            weight_gradient(images, grad).to(memory_format=_format(weight)) if need_weight else None,
            grad.sum((0, 2, 3)) if need_bias else None,
        )


def transformed(weight: Float[Tensor, "d c 3 3"]) -> Float[Tensor, "36 c d"]:
    """G w G^T."""
    out_channels, in_channels = weight.shape[:2]
    return _transform(_G, weight.permute(2, 3, 1, 0)).view(_PATCH**2, in_channels, out_channels)


def convolved(
    images: Float[Tensor, "n c h w"], weight: Float[Tensor, "36 c d"], bias: Float[Tensor, " d"] | None
) -> Float[Tensor, "n d h w"]:
    """The convolution, in channels-last memory, a few images at a time."""
    (count, _, height, width), channels = images.shape, weight.shape[2]
    rows, columns = -(-height // TILE), -(-width // TILE)
    shape = (count, channels, rows * TILE, columns * TILE)
    output = torch.empty(shape, dtype=images.dtype, device=images.device, memory_format=torch.channels_last)
    tiled = output.permute(0, 2, 3, 1).view(count, rows, TILE, columns, TILE, channels)
    size = _at_once(images, channels)
    for some, made in zip(images.split(size), tiled.split(size), strict=True):
        products = torch.bmm(_patches(some), weight)  # (36, tiles, d)
        tiles = _transform(_A, products).view(TILE, TILE, len(some), rows, columns, channels)
        made.copy_(tiles.permute(2, 3, 0, 4, 1, 5))
        if bias is not None:
            made.add_(bias)
    if shape[2:] == (height, width):
        return output
    return output[:, :, :height, :width].contiguous(memory_format=torch.channels_last)


def weight_gradient(images: Float[Tensor, "n c h w"], grad: Float[Tensor, "n d h w"]) -> Float[Tensor, "d c 3 3"]:
    """G^T [sum over tiles of (B^T d B) * (A dY A^T)] G."""
    in_channels, out_channels = images.shape[1], grad.shape[1]
    total = images.new_zeros(_PATCH**2, in_channels, out_channels)
    size = _at_once(images, out_channels)
    for some, theirs in zip(images.split(size), grad.split(size), strict=True):
        products = _transform(_A.T, _tiles(theirs)).view(_PATCH**2, -1, out_channels)  # (36, tiles, d)
        total.baddbmm_(_patches(some).transpose(1, 2), products)
    return _transform(_G.T, total).view(3, 3, in_channels, out_channels).permute(3, 2, 0, 1)


def _transform(matrix: Float[Tensor, "m k"], squares: Tensor) -> Float[Tensor, "m m l"]:
    """M X M^T of every square X; `squares` (k, k, ...), or both k's as one dimension.

    One side after the other, which takes a third of the multiplications that both at once would.
    """
    m, k = matrix.shape
    once = matrix @ squares.reshape(k, -1)  # (m, k l)
    return matrix @ once.view(m, k, -1)


def _patches(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "36 t c"]:
    """B^T d B of the overlapping 6x6 patches, one for each tile of the output."""
    count, channels, height, width = images.shape
    rows, columns = -(-height // TILE), -(-width // TILE)
    padded = F.pad(images.permute(0, 2, 3, 1), (0, 0, 1, columns * TILE - width + 1, 1, rows * TILE - height + 1))
    n, y, x, c = padded.stride()
    shape = (_PATCH, _PATCH, count, rows, columns, channels)
    patches = padded.as_strided(shape, (y, x, n, TILE * y, TILE * x, c))
    return _transform(_B, patches).view(_PATCH**2, -1, channels)


def _tiles(grad: Float[Tensor, "n d h w"]) -> Float[Tensor, "4 4 n r c d"]:
    """The 4x4 tiles of an output's gradient, zero beyond its edge."""
    count, channels, height, width = grad.shape
    rows, columns = -(-height // TILE), -(-width // TILE)
    padded = F.pad(grad.permute(0, 2, 3, 1), (0, 0, 0, columns * TILE - width, 0, rows * TILE - height))
    return padded.reshape(count, rows, TILE, columns, TILE, channels).permute(2, 4, 0, 1, 3, 5)


def _at_once(images: Tensor, out_channels: int) -> int:
    """How many images to transform at a time: as much as fits the cache, or about as much as the weights weigh.

    The weights come from memory anew each time, so the more they are, the less often that should be.
    """
    _, channels, height, width = images.shape
    tiles = -(-height // TILE) * -(-width // TILE)
    least, most = _CACHE
    wanted = min(max(4 * _PATCH**2 * channels * out_channels, least), most)
    return max(1, wanted // (4 * _PATCH**2 * tiles * channels))


def _format(tensor: Tensor) -> torch.memory_format:
    last = tensor.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format
