"""Running a model as a post-hoc method must: in evaluation mode, its local features in view, and then as it was.

What a method asks of a model and of the machine stands here, too: each requirement says in a line what is missing.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from payattention.data.tensors import at_once
from payattention.errors import UsageError
from payattention.models import Classifier
from payattention.models.class_activation_map import ClassMapped
from payattention.models.evaluating import evaluating
from payattention.models.grids import first_tensor, with_first_tensor
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
    return (
        f"CAM is for networks that classify the mean of their features, as vgg_gap does; for {model.name} take "
        "grad_cam, which is CAM but for a factor wherever a network classifies such a mean by one linear layer"
    )


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

    def kept(name: str, grid: Tensor) -> Tensor:
        if torch.is_grad_enabled() and not grid.requires_grad:
            grid = grid.detach().requires_grad_()
        seen[name] = grid
        return grid.clone()  # the next layer may work in place

    with ExitStack() as stack:
        for name in model.local_layers():
            stack.enter_context(with_features(model, name, partial(kept, name)))
        stack.enter_context(evaluating(model))
        yield seen


@contextmanager
def with_features(model: Classifier, layer: str, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Lets the network go on with other features behind one of its local layers, in this thread alone.

    Args:
        model: A model that names its layers.
        layer: One of them.
        change: What to go on with in place of its features, both (n, d, h, w), however the layer's output holds them.
    """
    layout, thread = model.layout(layer), threading.get_ident()

    def changed(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> object:
        if threading.get_ident() != thread:
            return None
        whole = first_tensor(output)
        assert whole is not None  # layers say where they have features
        return with_first_tensor(output, layout.output(change(layout.grid(whole)), whole))

    hook = model.local_layers()[layer].register_forward_hook(changed)
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def logits_in_passing(model: Classifier, images: Float[Tensor, "n channels h w"]) -> Iterator[list[Tensor]]:
    """A list that gets the logits of the first forward pass inside, in this thread, over just these pictures."""
    seen: list[Tensor] = []
    thread = threading.get_ident()

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], logits: Tensor) -> None:
        if not seen and inputs and threading.get_ident() == thread and torch.equal(inputs[0], images):
            seen.append(logits.detach())

    hook = model.register_forward_hook(keep)
    try:
        yield seen
    finally:
        hook.remove()


_MOST = 64  # pictures: more gain nothing anywhere, and cost memory where gradients are kept


def pictures_at_once(images: Float[Tensor, "n channels h w"]) -> int:
    """How many of a picture's copies a forward pass had best take: no more than a processor's cache has room for."""
    return min(_MOST, at_once(images.device, images.shape[2], images.shape[3]))


def of_classes(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"] | None) -> Float[Tensor, " n"]:
    """Each image's logit of its label, by default of its predicted class."""
    return logits.gather(1, chosen_classes(logits, labels)[:, None]).squeeze(1)


def chosen_classes(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"] | None) -> Int[Tensor, " n"]:
    """The classes that are asked for, by default the predicted ones."""
    return logits.argmax(1) if labels is None else labels.to(logits.device)
