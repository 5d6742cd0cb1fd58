"""The same function with fewer layers: batch norms merged into the convolutions before them."""

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode

from payattention.errors import UsageError
from payattention.models.classifier import Classifier
from payattention.models.evaluating import evaluating
from payattention.system.machine import memory_format


def fold(model: Classifier) -> Classifier:
    """A copy of a model for inference, its batch norms folded into the convolutions that they follow.

    Same logits and maps, to float32's rounding, in less time. In evaluation, a batch norm is a fixed scale and shift
    of each channel, which the convolution's own weights can hold. The copy is in evaluation mode and in channels-last
    memory; it can be saved, loaded and exported, but has no norms left to train with. Batch norms that follow
    something else (a sum of two branches, say) stay.

    Raises:
        UsageError: No batch norm follows a convolution, or the model is folded already.
    """
    config = getattr(model, "config", None)  # a network composed by hand has none
    if config is not None and config.folded:
        raise UsageError(f"this {model.name} is folded already")
    folded = copy.deepcopy(model).eval()
    fold_in_place(folded)
    if config is not None:
        folded.config = replace(config, folded=True)
    return folded


def fold_in_place(model: Classifier) -> None:
    """Folds a model that is in evaluation mode, and has no other use.

    Raises:
        UsageError: No batch norm follows a convolution.
    """
    found = foldable(model)
    if not found:
        raise UsageError(f"no batch norm of {model.name} follows a convolution: there is nothing to fold")
    while found:  # a norm may follow a norm
        for pair in found:
            _merge(model, pair)
        found = foldable(model)
    model.to(memory_format=memory_format(model))


@torch.no_grad()
def quick(model: Classifier) -> Classifier:
    """The same function in less time: folded, or the model itself where nothing folds, or where it cannot be copied."""
    if not any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
        return model
    with evaluating(model):
        try:
            return fold(model) if foldable(model) else model
        except (TypeError, RuntimeError):  # of deepcopy: a lock, a file, a tensor that was computed
            return model


class Pair(NamedTuple):
    """A convolution and the batch norm that alone sees its output, by their names in the model."""

    conv: str
    norm: str


def foldable(model: Classifier) -> list[Pair]:
    """The pairs that can be folded, found by following the tensors of one forward pass in evaluation mode."""
    trace = _Trace()
    side = max(model.image_size, model.min_size)
    with torch.no_grad(), trace:
        model(torch.zeros(1, model.in_channels, side, side, device=model.device, dtype=model.dtype))
    convs = _unique({name: m.weight for name, m in model.named_modules() if isinstance(m, nn.Conv2d)})
    norms = _unique({name: m.running_mean for name, m in model.named_modules() if _folds_away(m)})
    return [Pair(convs[weight], norms[mean]) for weight, mean in trace.followed() if weight in convs and mean in norms]


class _Trace(TorchFunctionMode):
    """Notes which convolution made a tensor, which batch norm saw it, and how many functions did.

    Tensors are told apart by `id`; all are kept, so that none is used twice.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Any] = []
        self.made: dict[int, Tensor] = {}
        """By a convolution's output: its weight."""
        self.normed: list[tuple[int, Tensor]] = []
        """A batch norm's input and its running mean."""
        self.uses: Counter[int] = Counter()
        self.runs: Counter[int] = Counter()
        """How often a weight or a running mean was used: a module that runs twice is not for one place to change."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not any(isinstance(one, Tensor) for one in _leaves(result)):
            return result  # a shape, a flag
        self.kept.append((args, kwargs, result))
        self.uses.update(id(one) for one in _leaves((args, kwargs)) if isinstance(one, Tensor))
        if func is torch.conv2d and len(args) > 1:
            self.made[id(result)] = args[1]
            self.runs[id(args[1])] += 1
        if func is F.batch_norm and len(args) > 1 and isinstance(args[1], Tensor):
            self.normed.append((id(args[0]), args[1]))
            self.runs[id(args[1])] += 1
        return result

    def followed(self) -> list[tuple[int, int]]:
        """Weight and running mean, by `id`, of each convolution whose output went into one batch norm alone."""
        return [
            (id(self.made[seen]), id(mean))
            for seen, mean in self.normed
            if seen in self.made and self.uses[seen] == 1 and self.runs[id(self.made[seen])] == self.runs[id(mean)] == 1
        ]


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [leaf for one in value for leaf in _leaves(one)]
    return [value]


def _unique(tensors: Mapping[str, Tensor | None]) -> dict[int, str]:
    """Names by the `id` of their tensors; a tensor that two modules share is left out."""
    counts = Counter(id(tensor) for tensor in tensors.values())
    return {id(tensor): name for name, tensor in tensors.items() if counts[id(tensor)] == 1}


def _folds_away(module: nn.Module) -> bool:
    """Whether `_rest_of` knows what remains of a batch norm: PyTorch's own, or timm's, which carries an activation."""
    return type(module) is nn.BatchNorm2d or (isinstance(module, nn.BatchNorm2d) and hasattr(module, "act"))


def _rest_of(norm: nn.Module) -> nn.Module:
    return nn.Identity() if type(norm) is nn.BatchNorm2d else nn.Sequential(norm.drop, norm.act)  # type: ignore[arg-type]


def _merge(model: nn.Module, pair: Pair) -> None:
    conv, norm = model.get_submodule(pair.conv), model.get_submodule(pair.norm)
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    model.set_submodule(pair.conv, fuse_conv_bn_eval(conv, norm))
    model.set_submodule(pair.norm, _rest_of(norm))
