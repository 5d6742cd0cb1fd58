"""Starting from the weights of a model trained on something else: what fits by name and shape."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from payattention.errors import CheckpointError
from payattention.models import Classifier, create_model
from payattention.models.heads import Head
from payattention.models.registry import without_pretrained
from payattention.models.without_values import without_values
from payattention.weights.named import saved_model


@dataclass(frozen=True)
class WarmStart:
    """What a model took from another.

    Attributes:
        source: Where the other lies.
        parameters: How many of the model's numbers were taken, of how many.
        other_classes: Tensors that tell the other's classes apart, which are not this model's.
        other_levels: Tensors of a head whose levels, which it numbers, are not this model's.
        other_shape: Tensors that have another shape here.
        unused: Tensors that this model has no place for.
        fresh: The model's tensors that nothing was taken for; those of the first three lists are among them.
    """

    source: str
    parameters: tuple[int, int]
    other_classes: tuple[str, ...]
    other_levels: tuple[str, ...]
    other_shape: tuple[str, ...]
    unused: tuple[str, ...]
    fresh: tuple[str, ...]

    def __str__(self) -> str:
        """One line for what was taken, and one for each kind of what was not, every tensor named."""
        taken, all_ = self.parameters
        named = {*self.other_classes, *self.other_levels, *self.other_shape}
        kinds = {
            "of other classes, left out": self.other_classes,
            "of other levels, left out": self.other_levels,
            "of another shape, left out": self.other_shape,
            "not in this network, left out": self.unused,
            "only in this network, begin fresh": [name for name in self.fresh if name not in named],
        }
        head = f"{taken:,} of {all_:,} numbers are from {self.source}"
        return "\n".join([head, *(f"  {kind}: {', '.join(names)}" for kind, names in kinds.items() if names)])


def warm_start(model: Classifier, source: str | Path) -> WarmStart:
    """Gives a model, in place, every tensor of a saved one that has the same name and shape.

    Pixel statistics are taken along, since the weights expect pixels as they were; the classifier only if both know the
    same classes, and the head as a whole only if both attend to the same levels.

    Args:
        model: The model that is to be trained; layers have the same names in all networks of a family.
        source: A run folder, a `.safetensors` file, or another name of a saved model that `payattention.load` takes.

    Raises:
        CheckpointError: Nothing there that can be loaded, or no weight of it fits.
    """
    return taken_over(model, saved_model(source).load(), str(source))


@torch.no_grad()
def taken_over(model: Classifier, other: Classifier, source: str) -> WarmStart:
    """`warm_start` from a model that is loaded already, from a source of that name."""
    given, own = other.state_dict(), model.state_dict()
    of_classes = set() if other.classes == model.classes else _tells_classes(other)
    of_levels = set() if _head_levels(other) == _head_levels(model) else {n for n in given if n.startswith("head.")}
    shared = [name for name in given if name in own and name not in of_classes | of_levels]
    fitting = {name: given[name] for name in shared if given[name].shape == own[name].shape}
    if not any(p.ndim > 1 and name in fitting for name, p in model.named_parameters()):  # biases fit by chance
        raise CheckpointError(
            f"{source}: no weight of this {other.name} (width {other.config.width:g}) fits {model.name} "
            f"(width {model.config.width:g}) by name and shape; begin from the same network, or another of its family"
        )
    model.load_state_dict(own | fitting)
    return WarmStart(
        source=str(source),
        parameters=(_numbers(fitting), _numbers(own)),
        other_classes=tuple(name for name in given if name in own and name in of_classes),
        other_levels=tuple(name for name in given if name in own and name in of_levels - of_classes),
        other_shape=tuple(name for name in shared if name not in fitting),
        unused=tuple(name for name in given if name not in own),
        fresh=tuple(name for name in own if name not in fitting),
    )


def _head_levels(model: Classifier) -> tuple[str, ...]:
    """The levels whose descriptors a model's head takes; none where it has no such head."""
    head = getattr(model, "head", None)
    return model.levels[-len(head.normalise) :] if isinstance(head, Head) else ()


def _tells_classes(model: Classifier) -> set[str]:
    """The tensors whose shape depends on the number of classes."""
    config = model.config
    with without_values():
        options = without_pretrained(config.options)
        wider = create_model(config.name, config.num_classes + 1, config.width, **options).state_dict()
    return {name for name, tensor in model.state_dict().items() if tensor.shape != wider[name].shape}


def _numbers(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors.values())
