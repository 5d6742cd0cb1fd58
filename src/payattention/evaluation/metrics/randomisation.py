"""Does a map follow the model, and the class? What is left of it when either is replaced by chance.

- Model randomisation (Adebayo et al., 2018: "Sanity checks for saliency maps"): parameters are drawn anew, of the last
  layer, then of the one before it too, and so on down to the first (`cascade`). A map that stays as it was does not
  show what the network has learned: like an edge detector, it shows the picture. Of trained maps the attention can be
  drawn anew alone (`attention_layers`): what then stays of the map is the features' doing, not the attention's.
- Class randomisation (Sixt et al., 2020: the random logit test): the map of the answer beside that of a class drawn
  from the others. A map that is the same for both does not show why it was this class.

Both give the similarity of the old and the new map, picture by picture: by Spearman's rank correlation, or another of
`evaluation.metrics.similarity`. Lower is better, down to 0. Masks play no part.

Each parameter is drawn from a normal distribution of mean 0 and of the trained values' own root mean square, so that
signals keep their size on their way up; what a batch norm has counted stays. (Adebayo et al. draw as their networks
were initialised; PyTorch's own initial weights would shrink signals layer by layer, and attention has no initial state
that one could come back to.) A single draw may turn a map round or by chance be like the old one, so several are
averaged.

What they cannot tell: whether the map of the trained network is right; noise passes both tests. Convolution sees a
picture's strong places even with random weights, so a little similarity is no proof of an edge detector (Yona &
Greenfeld, 2021), and from the top it falls slowly where a network has shortcuts (Binder et al., 2023). Trained
attention asks for no class: to it, class randomisation does not apply.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from payattention.attention import AttentionLevel
from payattention.errors import UsageError
from payattention.evaluation.metrics.sensitivity import Explain
from payattention.evaluation.metrics.similarity import Similarity, rank_correlation
from payattention.models import Classifier
from payattention.models.evaluating import evaluating

ExplainClasses = Callable[[Tensor, Tensor], Mapping[str, Tensor]]
"""Images and the classes (n,) that are asked for to maps by name, each (n, h, w)."""


def model_randomisation(
    model: Classifier,
    explain: Explain,
    images: Float[Tensor, "n channels h w"],
    parts: Mapping[str, Sequence[str]],
    *,
    draws: int = 1,
    similarity: Similarity = rank_correlation,
    seed: int = 0,
) -> dict[str, dict[str, Tensor]]:
    """By part and by name of its map, how alike each picture's map (n,) is when that part is drawn anew.

    Args:
        model: What `explain` explains. It comes back as it was.
        explain: Maps of images, by what the model is when it is called; of one class, whatever the answer then is.
        images: Values in [0, 1].
        parts: By a name for it, the modules whose parameters are drawn: of `cascade`, of `attention_layers`, or your
            own choice of `model.named_modules()`.
        draws: Over so many the similarity is averaged.
        similarity: Of two maps.
        seed: Of the draws.

    Raises:
        PayAttentionError: Maps that are not finite.
    """
    before = {name: maps.detach().float() for name, maps in explain(images).items()}
    found = {}
    for part, layers in parts.items():
        alike: dict[str, list[Tensor]] = {name: [] for name in before}
        for draw in range(draws):
            with randomised(model, layers, seed + draw):
                after = explain(images)
            for name, maps in before.items():
                alike[name].append(similarity(maps, after[name].detach().float()))
        found[part] = {name: torch.stack(each).mean(0) for name, each in alike.items()}
    return found


def class_randomisation(
    explain: ExplainClasses,
    images: Float[Tensor, "n channels h w"],
    labels: Int[Tensor, " n"],
    classes: int,
    *,
    similarity: Similarity = rank_correlation,
    seed: int = 0,
) -> dict[str, Tensor]:
    """By name of its map, how alike each picture's maps (n,) of its own class and of a random other one are.

    Args:
        explain: Maps of images and classes.
        images: Values in [0, 1].
        labels: Their own classes.
        classes: How many there are; at least 2.
        similarity: Of two maps.
        seed: Of the other classes, which are the same for all kinds of maps.

    Raises:
        UsageError: A single class.
        PayAttentionError: Maps that are not finite.
    """
    if classes < 2:
        raise UsageError("there is only one class: no map of another one can be held against it")
    further = torch.randint(1, classes, labels.shape, generator=torch.Generator().manual_seed(seed))
    others = (labels + further.to(labels)) % classes
    own, other = explain(images, labels), explain(images, others)
    return {name: similarity(maps.detach().float(), other[name].detach().float()) for name, maps in own.items()}


@contextmanager
def randomised(model: nn.Module, layers: Iterable[str], seed: int = 0) -> Iterator[None]:
    """Draws the parameters of some modules anew; afterwards all are as before, whatever happens.

    Args:
        model: Any network.
        layers: Names of its modules, of which those parameters are drawn that are in no module inside them. Lists that
            begin alike are drawn alike as far as that, with the same seed.
        seed: Of the draw.
    """
    chosen = [p for name in layers for p in model.get_submodule(name).parameters(recurse=False)]
    before, random = [p.detach().clone() for p in chosen], torch.Generator().manual_seed(seed)
    try:
        _fill(chosen, [_like(values, random) for values in before])
        yield
    finally:
        _fill(chosen, before)


@torch.no_grad()
def _fill(parameters: Iterable[Tensor], values: Iterable[Tensor]) -> None:
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value)


def _like(values: Tensor, random: torch.Generator) -> Tensor:
    """Normal numbers of the same root mean square."""
    return torch.randn(values.shape, generator=random).to(values) * values.square().mean().sqrt()


def cascade(
    model: Classifier, images: Float[Tensor, "n channels h w"], steps: int | None = None
) -> dict[str, tuple[str, ...]]:
    """The layers of a network from the top: at each step those to draw anew, by a name for the step.

    Args:
        model: Any classifier.
        images: Which it can look at; a single one will do.
        steps: After so many equal parts of the layers, and after the last layer alone; by default one layer at a time.
    """
    layers = layers_from_the_top(model, images)
    if steps is None:
        return {name: layers[: count + 1] for count, name in enumerate(layers)}
    ends = {f"last {100 * step // steps} %": math.ceil(step * len(layers) / steps) for step in range(1, steps)}
    return {name: layers[:end] for name, end in {"last layer": 1, **ends, "all": len(layers)}.items()}


def layers_from_the_top(model: Classifier, images: Float[Tensor, "n channels h w"]) -> tuple[str, ...]:
    """The modules with parameters of their own, by name, the last to begin computing first.

    One that is never called, since another uses its parameters, stands where that one does.
    """
    begun: dict[nn.Module, int] = {}

    def note(module: nn.Module, inputs: tuple[object, ...]) -> None:
        begun.setdefault(module, len(begun))

    with evaluating(model), torch.no_grad():  # which takes hooks away again
        for module in model.modules():
            module.register_forward_pre_hook(note)
        model(images)
    modules = dict(model.named_modules())

    def place(name: str) -> int:
        while modules[name] not in begun:
            name = name.rpartition(".")[0]
        return begun[modules[name]]

    upwards = sorted((name for name, module in modules.items() if _has_own(module)), key=place)
    return tuple(reversed(upwards))


def attention_layers(model: Classifier) -> tuple[str, ...]:
    """The modules with parameters that score positions, by name; none for a network without trained attention."""
    within = {part for module in model.modules() if isinstance(module, AttentionLevel) for part in module.modules()}
    return tuple(name for name, module in model.named_modules() if module in within and _has_own(module))


def _has_own(module: nn.Module) -> bool:
    return any(True for _ in module.parameters(recurse=False))
