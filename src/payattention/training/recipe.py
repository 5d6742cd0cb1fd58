"""Recipes: how to train, as data, whose kinds, ranges and choices are checked."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, field, replace
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from payattention.errors import UsageError
from payattention.system.validation import checked, takes, within
from payattention.training.presets import is_file, settings

_Epochs = Annotated[int, Field(ge=1, le=100_000)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Pixels = Annotated[int, Field(ge=0, le=10_000)]
_Milestone = Annotated[tuple[_Epochs, Annotated[float, Field(ge=1e-6, le=1e6)]], Field(strict=False)]
"""TOML and JSON give lists, here and below, where tuples are kept: Field(strict=False)."""


def _ascending(milestones: tuple[_Milestone, ...]) -> tuple[_Milestone, ...]:
    if not all(earlier < later for (earlier, _), (later, _) in pairwise(milestones)):
        raise ValueError("not ascending")
    return milestones


_Milestones = Annotated[
    tuple[_Milestone, ...],
    Field(strict=False),
    AfterValidator(_ascending),
    takes("pairs of epochs and a factor, the epochs ascending, as [[60, 0.2], [120, 0.2]]"),
]
_Sizes = Annotated[
    tuple[Annotated[float, Field(gt=0, le=1)], ...],
    Field(strict=False, min_length=1),
    takes("shares of the full size, as [0.5, 1.0]"),
]


@checked(frozen=True)
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
        border_penalty: What the share of the maps' mass in their outermost cells adds to the loss; 0 for nothing.
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
    epochs: _Epochs
    batch_size: Annotated[int, Field(ge=2, le=1_000_000)] = 128  # a batch norm of single images has no deviation
    lr: Annotated[float, Field(ge=1e-12, le=1e6)] = 0.1
    optimizer: Literal["sgd", "adamw", "muon"] = "sgd"
    filter_lr: Annotated[float, Field(ge=1e-12, le=1)] = 0.04
    filter_momentum: Annotated[float, Field(ge=0, le=0.9999)] = 0.6
    momentum: _Share = 0.9
    dampening: _Share = 0.0
    nesterov: bool = False
    weight_decay: Annotated[float, Field(ge=0, le=1e3)] = 5e-4
    decay_all: bool = True
    layer_decay: Annotated[float, Field(ge=1e-6, le=1)] = 1.0
    bias_factor: Annotated[float, Field(ge=1e-3, le=1e3)] = 1.0
    schedule: Literal["steps", "one_cycle"] = "steps"
    step_epochs: _Epochs = 25
    step_factor: Annotated[float, Field(ge=1e-6, le=1)] = 0.5
    milestones: _Milestones = ()
    momentum_reset: bool = False
    lr_decay: _Share = 0.0
    warmup: Annotated[float, Field(ge=0, le=0.99)] = 0.2
    label_smoothing: _Share = 0.0
    border_penalty: Annotated[float, Field(ge=0, le=1e3)] = 0.0
    mirror: bool = True
    mirror_all: bool = False
    flips: Literal["random", "half", "alternating"] = "random"
    shift: _Pixels = 0
    border: Literal["reflect", "zero"] = "reflect"
    cutout: _Pixels = 0
    sampling: Literal["shuffled", "balanced"] = "shuffled"
    sizes: _Sizes = (1.0,)
    averaging: _Share = 0.0
    dropout: Annotated[float | None, Field(ge=0, le=1.99)] = None
    model: Mapping[str, Any] = field(default_factory=dict)

    @model_validator(mode="after")
    def _check_momentum(self) -> "Recipe":
        if self.nesterov and (self.dampening or not self.momentum):
            raise ValueError("nesterov needs a momentum above 0 and a dampening of 0")
        return self

    @property
    def open_ended(self) -> bool:
        """Whether nothing in an epoch depends on how many there are, so that more of them only follow.

        Momentum that starts anew is not counted among these.
        """
        return self.schedule == "steps" and not self.momentum_reset and len(set(self.sizes)) == 1

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


def load_recipe(name: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """A preset or a TOML file of one's own, with some of its fields replaced.

    A file sets fields of `Recipe`; one that says `base = "modern"` (a preset, or a file beside it) sets only those
    that differ from that.

    Raises:
        UsageError: An unknown preset or field, a file that cannot be read, or a value out of range.
    """
    given = settings(name)
    if "epochs" not in given:
        raise UsageError(f'{name} sets no epochs: give them, or begin with a base to take them from: base = "modern"')
    with within(name) if is_file(name) else nullcontext():
        recipe = Recipe(**given)
    return replace(recipe, **(overrides or {}))
