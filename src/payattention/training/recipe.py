"""Recipes: how to train, as data. The presets are the TOML files in `recipes/`; yours may be based on them."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

from payattention.errors import UsageError, unknown


@dataclass(frozen=True)
class Recipe:
    """Everything that training depends on, besides the model, the data and the seed.

    Attributes:
        summary: What it is for.
        epochs: Passes over the training split.
        batch_size: Images a step.
        lr: Peak learning rate.
        optimizer: "sgd", "adamw" (then momentum, dampening and nesterov play no part) or "muon" (convolutions by
            Muon, all else by SGD).
        filter_lr: "muon": peak step of a convolution's filters, as a share of their length.
        filter_momentum: "muon": share of the old gradients in the filters' running mean.
        momentum: Momentum.
        dampening: Share of the gradient that momentum leaves out (Torch7 sets it to the momentum).
        nesterov: Nesterov momentum.
        weight_decay: L2 penalty, as the optimizer applies it.
        decay_all: Whether norms and biases decay too (the authors' scripts) or not.
        layer_decay: The factor on the learning rate from one group of the trunk's layers to the one before it (a timm
            backbone's groups are timm's, VGG's the convolutions between pools, a ResNet's its stages; the last has the
            full rate); 1 for one rate throughout.
        bias_factor: The factor on the learning rate of batch norms' biases, whose decay in a step stays the same (speed
            runs take up to 64; Page 2019, Jordan 2024); 1 for the rate of all else.
        schedule: "steps" or "one_cycle".
        step_epochs: "steps": the rate is multiplied by `step_factor` every so many epochs.
        step_factor: "steps": that factor.
        milestones: "steps": pairs of a number of epochs and the factor on the rate once they are over; where there are
            any, they take the place of the equal steps.
        momentum_reset: "steps": whether momentum starts anew where the rate changes.
        lr_decay: Whatever the schedule, the rate is divided by 1 + this times the number of steps made (Torch7).
        warmup: "one_cycle": share of the run in which the rate climbs to its peak; then it falls to zero.
        label_smoothing: Probability mass given to all classes alike.
        mirror: Horizontal flips, where the data set allows them.
        mirror_all: Whether sets are mirrored, too, whose pictures change their class by it (digits: the authors'
            scripts flip SVHN as they flip CIFAR).
        flips: Which images are mirrored: "random" (each with probability 1/2), "half" (exactly half of each batch:
            the authors' scripts) or "alternating" (each image every other epoch).
        shift: Random shift of up to so many pixels in each direction, drawn for each image.
        border: What a shift leaves empty: "reflect" (the picture's reflection) or "zero" (black).
        cutout: Side of a square that is hidden at a random place of each image, in pixels; 0 hides nothing.
        sampling: "shuffled" (each image once an epoch) or "balanced" (images are drawn with replacement, so that
            each class comes as often as any other).
        sizes: Training image sizes as shares of the full one, spread evenly over the epochs, the last epoch with the
            last one; small pictures first make the early epochs cheap.
        averaging: Weights are averaged over this share of the run so far, and the average is the result; 0 does not
            (`payattention.training.callbacks.averaging`).
        dropout: Factor on every dropout rate of the network; None leaves the network's own.
        model: Defaults for other options of the network, where it has them: the `[model]` table of a file.
    """

    summary: str
    epochs: int
    batch_size: int = 128
    lr: float = 0.1
    optimizer: str = "sgd"
    filter_lr: float = 0.04
    filter_momentum: float = 0.6
    momentum: float = 0.9
    dampening: float = 0.0
    nesterov: bool = False
    weight_decay: float = 5e-4
    decay_all: bool = True
    layer_decay: float = 1.0
    bias_factor: float = 1.0
    schedule: str = "steps"
    step_epochs: int = 25
    step_factor: float = 0.5
    milestones: tuple[tuple[int, float], ...] = ()
    momentum_reset: bool = False
    lr_decay: float = 0.0
    warmup: float = 0.2
    label_smoothing: float = 0.0
    mirror: bool = True
    mirror_all: bool = False
    flips: str = "random"
    shift: int = 0
    border: str = "reflect"
    cutout: int = 0
    sampling: str = "shuffled"
    sizes: tuple[float, ...] = (1.0,)
    averaging: float = 0.0
    dropout: float | None = None
    model: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for own in fields(self):
            _check_kind(own.name, getattr(self, own.name), _KINDS[getattr(own.type, "__name__", str(own.type))])
        _check_milestones(self.milestones)
        object.__setattr__(self, "sizes", tuple(self.sizes))  # TOML and JSON give lists
        object.__setattr__(self, "milestones", tuple((epoch, factor) for epoch, factor in self.milestones))
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:  # so that NaN is refused, too
                raise UsageError(f"{name} is {value}: it lies between {low:g} and {high:g}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise unknown(name, str(getattr(self, name)), choices)
        if not self.sizes or not all(type(size) in (int, float) and 0 < size <= 1 for size in self.sizes):
            raise UsageError(f"sizes is {list(self.sizes)}: it takes shares of the full size, as [0.5, 1.0]")
        if self.nesterov and (self.dampening or not self.momentum):
            raise UsageError("nesterov needs a momentum above 0 and a dampening of 0")

    def check_frozen(self) -> None:
        """Raises UsageError if training on a frozen backbone's features cannot follow this recipe."""
        if self.shift or self.cutout or self.sizes != (1.0,):
            raise UsageError(
                "this recipe shifts, hides or resizes the pictures in every epoch, but a frozen backbone sees each "
                "only once; take the recipe 'probe', or train without freezing"
            )

    def mirrors(self, allowed: bool) -> bool:
        """Whether pictures are mirrored, of a set that allows it or does not."""
        return self.mirror and (allowed or self.mirror_all)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


_NUMBER = ((int, float), "a number")
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "text"),
    "int": ((int,), "a whole number"),
    "float": _NUMBER,
    "float | None": ((int, float, type(None)), "a number"),
    "bool": ((bool,), "true or false"),
    "tuple": ((list, tuple), "a list"),
    "Mapping": ((dict,), "a table of options"),
}


def _check_kind(name: str, value: object, kind: tuple[tuple[type, ...], str]) -> None:
    types, words = kind
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise UsageError(f"{name} is {value!r}: {words} is needed")


def _check_milestones(milestones: tuple[Any, ...]) -> None:
    def fits(pair: object) -> bool:
        if not (isinstance(pair, list | tuple) and len(pair) == 2):
            return False
        epoch, factor = pair
        numbers = type(epoch) is int and type(factor) in (int, float)
        return numbers and epoch >= 1 and 1e-6 <= factor <= 1e6

    if not all(map(fits, milestones)) or not all(a[0] < b[0] for a, b in pairwise(milestones)):
        raise UsageError(
            f"milestones is {list(milestones)}: it takes pairs of epochs and a factor, the epochs ascending, "
            "as [[60, 0.2], [120, 0.2]]"
        )


_RANGES: dict[str, tuple[float, float]] = {
    "epochs": (1, 100_000),
    "batch_size": (2, 1_000_000),  # a batch norm of single images has no deviation
    "lr": (1e-12, 1e6),
    "filter_lr": (1e-12, 1),
    "filter_momentum": (0, 0.9999),
    "momentum": (0, 1),
    "dampening": (0, 1),
    "weight_decay": (0, 1e3),
    "layer_decay": (1e-6, 1),
    "bias_factor": (1e-3, 1e3),
    "step_epochs": (1, 100_000),
    "step_factor": (1e-6, 1),
    "lr_decay": (0, 1),
    "warmup": (0, 0.99),
    "label_smoothing": (0, 1),
    "shift": (0, 10_000),
    "cutout": (0, 10_000),
    "averaging": (0, 1),
    "dropout": (0, 1.99),
}
_CHOICES = {
    "optimizer": ("sgd", "adamw", "muon"),
    "schedule": ("steps", "one_cycle"),
    "flips": ("random", "half", "alternating"),
    "border": ("reflect", "zero"),
    "sampling": ("shuffled", "balanced"),
}
_PRESETS = files("payattention.training") / "recipes"


def list_recipes() -> list[str]:
    """Names of the presets."""
    return sorted(file.name.removesuffix(".toml") for file in _PRESETS.iterdir())


def default_recipe(model: str, frozen: bool = False) -> str:
    """The preset for a model: "modern", or on a timm backbone "probe" where it is frozen and "finetune" where not."""
    if not model.startswith("timm:"):
        return "modern"
    return "probe" if frozen else "finetune"


def load_recipe(name: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """A preset or a TOML file of one's own, with some of its fields replaced.

    A file sets fields of `Recipe`; one that says `base = "modern"` (a preset, or a file beside it) sets only those
    that differ from that.

    Raises:
        UsageError: An unknown preset or field, a file that cannot be read, or a value out of range.
    """
    given = _fields(name)
    if "epochs" not in given:
        raise UsageError(f'{name} sets no epochs: give them, or begin with a base to take them from: base = "modern"')
    try:
        recipe = Recipe(**_known(given))
    except UsageError as error:
        raise UsageError(f"{name}: {error}" if _is_file(name) else str(error)) from None
    return replace(recipe, **_known(overrides or {}))


def _fields(name: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """What a preset or file sets, on top of what its base does; `above` are those whose base it is."""
    if name in above:
        raise UsageError(f"these recipes are based on each other: {' on '.join([*above, name])}")
    own = _read(name)
    base = own.pop("base", None)
    if _is_file(name):
        own.setdefault("summary", f"{base}, changed by {name}" if base else name)
    if base is None:
        return own
    if not isinstance(base, str):
        raise UsageError(f"base is {base!r}: the name of a recipe is needed")
    if _is_file(base):
        base = str(Path(name).parent / base)
    below = _fields(base, (*above, name))
    if isinstance(own.get("model"), dict) and isinstance(below.get("model"), dict):
        own["model"] = below["model"] | own["model"]
    return below | own


def _read(name: str) -> dict[str, Any]:
    if not _is_file(name) and name not in list_recipes():
        raise unknown("recipe", name, list_recipes())
    try:
        file = Path(name) if _is_file(name) else _PRESETS / f"{name}.toml"
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the recipe {name} cannot be read: {error.strerror}") from None
    except ValueError as error:  # not TOML, or not even text
        raise UsageError(f"the recipe {name} is not TOML: {error}") from None


def _is_file(name: str) -> bool:
    return name.endswith(".toml")


def _known(given: Mapping[str, Any]) -> Mapping[str, Any]:
    names = [own.name for own in fields(Recipe)]
    for name in given:
        if name not in names:
            raise unknown("recipe field", name, names)
    return given
