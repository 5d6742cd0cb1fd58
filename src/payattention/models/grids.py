"""Where any network has its features on a grid: the layouts that they come in, and the last layer that has them.

Convolutional networks have features (n, d, h, w). Swin's blocks have the channels last, (n, h, w, d); a vision
transformer has tokens (n, t, d), the first few of which stand for no place (class token, registers). A map is made of
features (n, d, h, w), so each layout says how it becomes one, and how it is put back for the rest of the network.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

_MAX_PREFIX = 16


@dataclass(frozen=True)
class ChannelsFirst:
    """(n, d, h, w).

    Like every layout it gives the features by place of a layer's output, and the output with other features in it;
    `whole` is then what the layer gave.
    """

    def grid(self, output: Tensor) -> Float[Tensor, "n d h w"]:
        return output

    def output(self, grid: Float[Tensor, "n d h w"], whole: Tensor) -> Tensor:
        return grid


@dataclass(frozen=True)
class ChannelsLast:
    """(n, h, w, d)."""

    def grid(self, output: Tensor) -> Float[Tensor, "n d h w"]:
        return output.permute(0, 3, 1, 2)

    def output(self, grid: Float[Tensor, "n d h w"], whole: Tensor) -> Tensor:
        return grid.permute(0, 2, 3, 1)


@dataclass(frozen=True)
class Tokens:
    """(n, prefix + side * side, d)."""

    prefix: int
    side: int

    def grid(self, output: Tensor) -> Float[Tensor, "n d h w"]:
        return output[:, self.prefix :].transpose(1, 2).unflatten(2, (self.side, self.side))

    def output(self, grid: Float[Tensor, "n d h w"], whole: Tensor) -> Tensor:
        return torch.cat([whole[:, : self.prefix], grid.flatten(2).transpose(1, 2)], 1)


Layout = ChannelsFirst | ChannelsLast | Tokens


def first_tensor(output: Any) -> Tensor | None:
    """What a layer gives on: its output, or the first of several."""
    if isinstance(output, tuple) and output:
        output = output[0]
    return output if isinstance(output, Tensor) else None


def layout_of(output: Tensor, side: int, prefix: int | None = None) -> Layout | None:
    """How an output holds a grid, if it does.

    Args:
        output: Of a layer, for one square picture.
        side: The picture's, in pixels.
        prefix: How many tokens stand for no place, where the network says so.
    """
    if output.ndim == 4 and 1 < output.shape[2] == output.shape[3] <= side:
        return ChannelsFirst()
    if output.ndim == 4 and 1 < output.shape[1] == output.shape[2] <= side:
        return ChannelsLast()
    if output.ndim == 3 and output.shape[0] == 1 and output.shape[2] > 1:
        prefixes = range(_MAX_PREFIX) if prefix is None else (prefix, 0)
        return next(_tokens(output.shape[1], side, prefixes), None)
    return None


def _tokens(count: int, side: int, prefixes: Sequence[int]) -> Iterator[Tokens]:
    for prefix in prefixes:
        root = isqrt(max(0, count - prefix))
        if root > 1 and root * root == count - prefix and root <= side // 2:
            yield Tokens(prefix, root)


@dataclass(frozen=True)
class Found:
    """A layer with a grid: its name in the network and how its output holds it."""

    name: str
    layout: Layout


def last_grid(network: nn.Module, images: Float[Tensor, "1 channels s s"], prefix: int | None = None) -> Found | None:
    """The last layer whose output is a grid that a logit depends on in more than one place.

    What follows a transformer's last attention reaches the class token alone, so that its other tokens say nothing;
    layers within attention itself have their features by head or by window, and are passed over.

    Args:
        network: In evaluation mode; gives logits.
        images: One picture; only its gradients matter.
        prefix: As for `layout_of`.
    """
    seen = _seen(network, images, prefix)
    for name, (layout, output, gradient) in reversed(seen.items()):
        if gradient is not None and output.shape == gradient.shape:
            places = layout.grid(gradient).abs().amax((0, 1))
            if (places > 0).sum() > 1:
                return Found(name, layout)
    return None


def grid_of(
    network: nn.Module, images: Float[Tensor, "1 channels s s"], layer: str, prefix: int | None = None
) -> Found | None:
    """The layer of that name, if its output is a grid."""
    seen = _seen(network, images, prefix, within=(layer,))
    return Found(layer, seen[layer][0]) if layer in seen else None


@torch.enable_grad()
def _seen(
    network: nn.Module, images: Tensor, prefix: int | None, within: Sequence[str] | None = None
) -> dict[str, tuple[Layout, Tensor, Tensor | None]]:
    """By layer, in the order in which they finish: its layout, its output, and the best logit's gradient for it."""
    side = images.shape[-1]
    outputs: dict[str, tuple[Layout, Tensor]] = {}

    def keep(name: str, output: object) -> None:
        tensor = first_tensor(output)
        if tensor is not None and tensor.requires_grad and (layout := layout_of(tensor, side, prefix)) is not None:
            outputs.pop(name, None)  # one that is used twice counts where it is used last
            outputs[name] = layout, tensor

    names = [name for name, _ in network.named_modules() if name] if within is None else within
    hooks = [
        network.get_submodule(name).register_forward_hook(lambda _, __, output, name=name: keep(name, output))
        for name in names
        if within is not None or not _within_attention(network, name)
    ]
    last: list[Tensor] = []
    hooks += [
        module.register_forward_pre_hook(lambda _, inputs: last.append(inputs[0]))
        for module in network.modules()
        if isinstance(module, nn.Linear)
    ]
    try:
        logits = logits_of(network(images.clone().requires_grad_()))
    finally:
        for hook in hooks:
            hook.remove()
    tensors = [tensor for _, tensor in outputs.values()]
    gradients = _gradients(logits, last, tensors)
    return {
        name: (layout, tensor.detach(), gradient)
        for (name, (layout, tensor)), gradient in zip(outputs.items(), gradients, strict=True)
    }


def _gradients(logits: Tensor, last: Sequence[Tensor], tensors: Sequence[Tensor]) -> Sequence[Tensor | None]:
    """Of the best logit; of what the last linear layer sees if its weights are still 0, as some begin."""
    gradients: Sequence[Tensor | None] = ()
    for scalar in (logits.max(), *(seen.square().sum() for seen in last[-1:])):
        if tensors and scalar.requires_grad:
            gradients = torch.autograd.grad(scalar, tensors, retain_graph=True, allow_unused=True)
            if any(gradient is not None and gradient.any() for gradient in gradients):
                break
    return gradients or [None] * len(tensors)


def _within_attention(network: nn.Module, name: str) -> bool:
    """Whether a layer is attention, or lies in it."""
    path = name.split(".")
    inside = (network.get_submodule(".".join(path[: depth + 1])) for depth in range(len(path)))
    return any("attention" in kind or "attn" in kind for kind in (type(module).__name__.lower() for module in inside))


def logits_of(output: Any) -> Tensor:
    """The logits in what a classifier returns: a tensor, or an object that names them (transformers).

    Raises:
        TypeError: Neither.
    """
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        shape = f" of shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else ""
        raise TypeError(f"{type(output).__name__}{shape}")
    return logits
