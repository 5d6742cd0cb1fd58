"""Pictures changed by so little that no one sees it, and by enough that a model errs: FGSM and PGD, and plain noise.

An attack acts on pixels. A model here takes them in [0, 1] and normalises them itself, so that the gradient comes back
to them through its own preprocessing. The size `eps` is the most by which any value changes (the L-infinity norm), in
steps of 8-bit pixels, 0 ... 255; what would leave the range of pixels is clipped.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from payattention.errors import UsageError
from payattention.models.preprocessing import at_least_float32
from payattention.system.names import Registry

PAPER_EPS = (1.0, 2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True)
class Attack:
    """Base class: an attack with its settings. The model is in evaluation mode, and stays as it is."""

    def __call__(
        self, model: nn.Module, images: Float[Tensor, "n channels h w"], labels: Int[Tensor, " n"], eps: float
    ) -> Float[Tensor, "n channels h w"]:
        """The images, each value changed by at most `eps`/255, so as to be anything but `labels`, or these."""
        check_eps([eps])
        (attacked,) = self.versions(model, images, labels, [eps])
        return attacked

    def versions(
        self,
        model: nn.Module,
        images: Float[Tensor, "n channels h w"],
        labels: Int[Tensor, " n"],
        sizes: Sequence[float],
    ) -> Iterator[Tensor]:
        """The attacked images at each size in turn; what the sizes share is computed once."""
        raise NotImplementedError


@dataclass(frozen=True)
class Noise(Attack):
    """Every value up or down at random: as far as FGSM goes, with no gradient to guide it.

    What FGSM does beyond it is the gradient's work.
    """

    def versions(
        self,
        model: nn.Module,
        images: Float[Tensor, "n channels h w"],
        labels: Int[Tensor, " n"],
        sizes: Sequence[float],
    ) -> Iterator[Tensor]:
        direction = _random_like(images).sign()
        return (moved(images, direction, eps) for eps in sizes)


@dataclass(frozen=True)
class FGSM(Attack):
    """The fast gradient sign method (Goodfellow et al., 2015): one step of size eps along the gradient's sign.

    Args:
        objective: What is to fall, a name of `OBJECTIVES`.
        towards: Whether the labels are what to be taken for, instead of what to be anything but: then it rises.

    Raises:
        UsageError: An unknown objective.
    """

    objective: str = "probability"
    towards: bool = False

    def __post_init__(self) -> None:
        OBJECTIVES[self.objective]  # refuses an unknown one

    def versions(
        self,
        model: nn.Module,
        images: Float[Tensor, "n channels h w"],
        labels: Int[Tensor, " n"],
        sizes: Sequence[float],
    ) -> Iterator[Tensor]:
        direction = ascent(model, images, labels, self.objective) * (-1 if self.towards else 1)
        return (moved(images, direction, eps) for eps in sizes)


@dataclass(frozen=True)
class PGD(Attack):
    """Projected gradient descent (Madry et al., 2018): many small steps, none of which leaves the ball of size eps.

    The defaults are their test on CIFAR-10: 20 steps of 2 for an eps of 8, from a random point.

    Args:
        steps: How many.
        step_size: Of each, in steps of 8-bit pixels; None for a quarter of eps.
        random_start: Whether to start anywhere in the ball, by torch's own random numbers, or at the images.
        objective: What is to fall, a name of `OBJECTIVES`.
        towards: As of `FGSM`.

    Raises:
        UsageError: No steps, steps that lead nowhere, or an unknown objective.
    """

    steps: int = 20
    step_size: float | None = None
    random_start: bool = True
    objective: str = "probability"
    towards: bool = False

    def __post_init__(self) -> None:
        OBJECTIVES[self.objective]  # refuses an unknown one
        if self.steps < 1:
            raise UsageError(f"steps is {self.steps}: PGD takes at least 1 step")
        if self.step_size is not None and not 0 < self.step_size <= 255:
            raise UsageError(f"step_size is {self.step_size:g}: it lies above 0, up to 255 (Madry et al.: 2 for eps 8)")

    def versions(
        self,
        model: nn.Module,
        images: Float[Tensor, "n channels h w"],
        labels: Int[Tensor, " n"],
        sizes: Sequence[float],
    ) -> Iterator[Tensor]:
        return (self._within(model, images, labels, eps) for eps in sizes)

    def _within(self, model: nn.Module, images: Tensor, labels: Tensor, eps: float) -> Tensor:
        step = (eps / 4 if self.step_size is None else self.step_size) * (-1 if self.towards else 1)
        low, high = moved(images, -1, eps), moved(images, 1, eps)
        x = moved(images, _random_like(images), eps) if self.random_start else images
        for _ in range(self.steps):
            x = moved(x, ascent(model, x, labels, self.objective), step).clamp(low, high)
        return x


def named_attacks(names: Sequence[str], pgd: PGD) -> dict[str, Attack]:
    """The attacks called "noise", "fgsm" and "pgd", the last with its settings, FGSM with its objective.

    Raises:
        UsageError: An unknown name.
    """
    known: Registry[Attack] = Registry("attack", {"noise": Noise(), "fgsm": FGSM(pgd.objective), "pgd": pgd})
    return {name: known[name] for name in names}


def check_eps(sizes: Iterable[float]) -> None:
    """Raises UsageError for a size that no attack has."""
    for eps in sizes:
        if not (math.isfinite(eps) and 0 <= eps <= 255):
            raise UsageError(f"eps is {eps:g}: it is a distance between 8-bit pixels, 0 to 255 (the paper: 1 to 16)")


def moved(
    images: Float[Tensor, "n channels h w"], direction: Float[Tensor, "n channels h w"] | int, eps: float
) -> Tensor:
    """The images, moved by eps/255 along a direction of at most 1, within the range of pixels."""
    return (images + eps / 255 * direction).clamp(0, 1)


def ascent(
    model: nn.Module,
    images: Float[Tensor, "n channels h w"],
    labels: Int[Tensor, " n"],
    objective: str = "probability",
) -> Float[Tensor, "n channels h w"]:
    """Which way each value has to go for the labels' probabilities, or logits, to fall: the sign, -1, 0 or 1."""
    with torch.enable_grad():
        images = images.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(OBJECTIVES[objective](at_least_float32(model(images)), labels).sum(), images)
    return gradient.sign()


def log_odds_against(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """log((1 - p) / p), p the label's probability.

    The cross-entropy is log(1 + exp(this)): it grows in the same direction. But where a model is so sure that p rounds
    to 1, the cross-entropy's own gradient vanishes and an attack by it would fail for want of digits, which looks like
    robustness (Carlini and Wagner, 2017); this one's does not.
    """
    own = labels[:, None]
    others = logits.scatter(1, own, -torch.inf)
    return others.logsumexp(1) - logits.gather(1, own)[:, 0]


def logit_against(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The label's logit, negative. It falls alone: other classes' may fall with it, and the prediction stay."""
    return -logits.gather(1, labels[:, None])[:, 0]


OBJECTIVES: Registry[Callable[[Tensor, Tensor], Tensor]] = Registry(
    "objective", {"probability": log_odds_against, "logit": logit_against}
)
"""What an attack can raise, of logits (n, C) and labels (n,), by what it makes fall: the paper's "predicted class
score" can be read as either. By probability, it is the cross-entropy that rises."""


def _random_like(images: Tensor) -> Tensor:
    """Uniform in -1 ... 1, drawn on the CPU: the same on every device."""
    return (2 * torch.rand(images.shape) - 1).to(images)
