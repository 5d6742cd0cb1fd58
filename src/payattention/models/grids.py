"""Where any network has its features on a grid: the layouts that they come in, and the last layer that has them.

Convolutional networks have features (n, d, h, w). Swin's blocks have the channels last, (n, h, w, d); a vision
transformer has tokens (n, t, d), the first few of which stand for no place (class token, registers). A map is made of
features (n, d, h, w), so each layout says how it becomes one, and how it is put back for the rest of the network.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from math import isqrt
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

_MAX_PREFIX = 16
_FIRST = 8  # layers that are looked at first, from the end


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


def with_first_tensor(output: Any, tensor: Tensor) -> Any:
    """A layer's output with another tensor in that place."""
    if not isinstance(output, tuple):
        return tensor
    others = (tensor, *output[1:])
    return type(output)(*others) if hasattr(output, "_fields") else others


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
    names = [name for name, _ in network.named_modules() if name and not _within_attention(network, name)]
    layouts = _layouts(network, images, names, prefix)
    for answer, some in product(_ANSWERS, _from_the_end(list(layouts))):
        gradients = _gradients_at(network, images, {name: layouts[name] for name in some}, prefix, answer)
        for name in some:
            if name in gradients and (gradients[name].abs().amax((0, 1)) > 0).sum() > 1:
                return Found(name, layouts[name])
    return None


def _best_logit(logits: Tensor, _: Sequence[Tensor]) -> Tensor:
    return logits.max()


def _last_features(logits: Tensor, seen: Sequence[Tensor]) -> Tensor:
    """Of a network whose last weights are still 0, as some begin."""
    return seen[-1].square().sum() if seen else logits.max()


_ANSWERS = (_best_logit, _last_features)
"""What a layer's gradients are of: a number made of the logits and of what each linear layer sees, in order."""


def _from_the_end(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """All of them, the last first, few at a time: what a network keeps for gradients begins at the first of them."""
    left, count = names[::-1], _FIRST
    while left:
        yield left[:count]
        left, count = left[count:], 2 * count


def grid_of(
    network: nn.Module, images: Float[Tensor, "1 channels s s"], layer: str, prefix: int | None = None
) -> Found | None:
    """The layer of that name, if its output is a grid."""
    found = _layouts(network, images, (layer,), prefix)
    return Found(layer, found[layer]) if found else None


@torch.no_grad()
def _layouts(network: nn.Module, images: Tensor, names: Sequence[str], prefix: int | None) -> dict[str, Layout]:
    """How layers hold a grid, of those that do, in the order in which they finish."""
    layouts: dict[str, Layout] = {}

    def keep(name: str, output: object) -> None:
        tensor = first_tensor(output)
        if tensor is not None and (layout := layout_of(tensor, images.shape[-1], prefix)) is not None:
            layouts.pop(name, None)  # one that is used twice counts where it is used last
            layouts[name] = layout

    with _outputs(network, names, keep):
        network(images)
    return layouts


@torch.enable_grad()
def _gradients_at(
    network: nn.Module,
    images: Tensor,
    layers: Mapping[str, Layout],
    prefix: int | None,
    answer: Callable[[Tensor, Sequence[Tensor]], Tensor],
) -> dict[str, Tensor]:
    """An answer's gradient for the grids of layers, of those that it depends on; (1, d, h, w)."""
    outputs: dict[str, Tensor] = {}
    seen: list[Tensor] = []

    def go_on(name: str, output: object) -> object:
        whole = first_tensor(output)
        if whole is None or layout_of(whole, images.shape[-1], prefix) != layers[name]:
            return None
        outputs[name] = whole if whole.requires_grad else whole.detach().requires_grad_()
        return with_first_tensor(output, outputs[name].clone())  # the next layer may work in place

    linear = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    with _outputs(network, layers, go_on), _inputs(network, linear, seen.append):
        scalar = answer(logits_of(network(images)), seen)
    if not outputs or not scalar.requires_grad:
        return {}
    gradients = zip(outputs, torch.autograd.grad(scalar, list(outputs.values()), allow_unused=True), strict=True)
    return {name: layers[name].grid(gradient) for name, gradient in gradients if gradient is not None}


@contextmanager
def _outputs(network: nn.Module, names: Iterable[str], hook: Callable[[str, object], object]) -> Iterator[None]:
    """Calls `hook` with the name and the output of each of these layers; what it returns takes the output's place."""
    handles = [
        network.get_submodule(name).register_forward_hook(lambda _, __, output, name=name: hook(name, output))
        for name in names
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _inputs(network: nn.Module, names: Iterable[str], hook: Callable[[Tensor], None]) -> Iterator[None]:
    """Calls `hook` with the input of each of these layers."""
    handles = [
        network.get_submodule(name).register_forward_pre_hook(lambda _, inputs: hook(inputs[0])) for name in names
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


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
