"""Running a model as a post-hoc method must: in evaluation mode, its local features in view, and then as it was.

What a method asks of a model and of the machine stands here, too: each requirement says in a line what is missing.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from payattention.errors import UsageError
from payattention.models import Classifier
from payattention.models.class_activation_map import ClassMapped
from payattention.models.evaluating import evaluating
from payattention.models.grids import Layout, first_tensor
from payattention.system.extras import missing

Requirement = Callable[[Classifier], str | None]
"""What is missing, or None."""


def layers(model: Classifier) -> str | None:
    """A model that names the layers to look at."""
    if model.local_layers():
        return None
    return f"{model.name} does not say where its local features are: it has no local_layers()"


def class_maps(model: Classifier) -> str | None:
    """A model whose features are averaged and then classified by one linear layer."""
    if isinstance(model, ClassMapped):
        return None
    return f"CAM is for networks that classify the mean of their features, as vgg_gap does; {model.name} does not"


def relus(model: Classifier) -> str | None:
    """A model with ReLUs."""
    if any(isinstance(module, nn.ReLU | nn.ReLU6) for module in model.modules()):
        return None
    return f"guided backprop is for networks with ReLUs; {model.name} has none"


def captum(_: Classifier) -> str | None:
    """The package of that name."""
    return missing("integrated gradients", "captum")


def need(model: Classifier, *requirements: Requirement) -> None:
    """Raises UsageError with the first thing that is missing."""
    for requirement in requirements:
        if (line := requirement(model)) is not None:
            raise UsageError(line)


@contextmanager
def local_features(model: Classifier) -> Iterator[dict[str, Tensor]]:
    """A dictionary that a forward pass inside fills with the local features (n, d, h, w) by layer.

    Gradients reach them, even behind a frozen backbone.

    Raises:
        UsageError: A model that does not name its layers.
    """
    need(model, layers)
    seen: dict[str, Tensor] = {}
    hooks = [
        layer.register_forward_hook(_Keeper(name, model.layout(name), seen))
        for name, layer in model.local_layers().items()
    ]
    try:
        with evaluating(model):
            yield seen
    finally:
        for hook in hooks:
            hook.remove()


class _Keeper:
    """A hook that keeps a module's features under a name, as something to differentiate by: the network goes on with
    what is kept, or with a copy of it, since its next layer may work in place. It looks at its own thread alone."""

    def __init__(self, name: str, layout: Layout, seen: dict[str, Tensor]) -> None:
        self.name, self.layout, self.seen, self.thread = name, layout, seen, threading.get_ident()

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> object:
        if threading.get_ident() != self.thread:
            return None
        whole = first_tensor(output)
        assert whole is not None  # layers say where they have features
        grid = self.layout.grid(whole)
        if torch.is_grad_enabled() and not grid.requires_grad:
            grid = grid.detach().requires_grad_()
        self.seen[self.name] = grid
        replaced = self.layout.output(grid.clone(), whole)
        return (replaced, *output[1:]) if isinstance(output, tuple) else replaced


def of_classes(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"] | None) -> Float[Tensor, " n"]:
    """Each image's logit of its label, by default of its predicted class."""
    return logits.gather(1, chosen_classes(logits, labels)[:, None]).squeeze(1)


def chosen_classes(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"] | None) -> Int[Tensor, " n"]:
    """The classes that are asked for, by default the predicted ones."""
    return logits.argmax(1) if labels is None else labels.to(logits.device)
