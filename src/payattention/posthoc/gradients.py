"""Maps of pixels, by what the class's logit does where a pixel changes: the gradient and what came of it.

    gradient              max over colours of |g|                                 (Simonyan et al., 2014)
    input x gradient      |sum over colours of x g|                               (Shrikumar et al., 2016)
    SmoothGrad            the gradient's mean over noisy copies, as gradient      (Smilkov et al., 2017)
    guided backprop       as gradient; a ReLU lets only positive gradients back   (Springenberg et al., 2015)
    integrated gradients  |sum over colours of the gradient, summed from a        (Sundararajan et al., 2017)
                          baseline to the picture|

g is the gradient of the class's logit for the picture's pixels in [0, 1]: it comes through the model's own
preprocessing. Integrated gradients are captum's implementation (Gauss-Legendre). Each gives {"pixels": (n, H, W)}.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.overrides import TorchFunctionMode

from payattention.models import Classifier
from payattention.models.evaluating import evaluating
from payattention.posthoc.baselines import baseline_of
from payattention.posthoc.hooks import captum, chosen_classes, need, of_classes, pictures_at_once, relus

PIXELS = "pixels"


def gradient(
    model: Classifier, images: Float[Tensor, "n channels h w"], labels: Tensor | None = None
) -> dict[str, Tensor]:
    """How much a small change of each pixel changes the class's logit."""
    return {PIXELS: _strongest(_gradient(model, images, labels))}


def input_x_gradient(
    model: Classifier, images: Float[Tensor, "n channels h w"], labels: Tensor | None = None
) -> dict[str, Tensor]:
    """What each pixel adds to the logit, were the model linear from black on. So a black pixel adds nothing."""
    return {PIXELS: (images * _gradient(model, images, labels)).sum(1).abs()}


@torch.no_grad()
def smooth_grad(
    model: Classifier,
    images: Float[Tensor, "n channels h w"],
    labels: Tensor | None = None,
    *,
    samples: int = 50,
    noise: float = 0.15,
    seed: int = 0,
) -> dict[str, Tensor]:
    """The gradient's mean over copies of each picture under Gaussian noise.

    Args:
        model: Any classifier.
        images: Values in [0, 1].
        labels: The classes (n,); by default those predicted without noise.
        samples: Copies of each picture (the paper: 50).
        noise: The noise's deviation as a share of the picture's range of values (the paper: 0.1 to 0.2).
        seed: Of the noise, which is the same for each picture of a batch.
    """
    with evaluating(model):
        classes = chosen_classes(model(images), labels)
    span = images.amax((1, 2, 3), keepdim=True) - images.amin((1, 2, 3), keepdim=True)  # (n, 1, 1, 1)
    random = torch.Generator().manual_seed(seed)
    total = torch.zeros_like(images)
    for _ in range(samples):
        one = torch.randn(images.shape[1:], generator=random).to(images)  # (channels, H, W)
        total += _gradient(model, images + noise * span * one, classes)
    return {PIXELS: _strongest(total / samples)}


def guided_backprop(
    model: Classifier, images: Float[Tensor, "n channels h w"], labels: Tensor | None = None
) -> dict[str, Tensor]:
    """The gradient, of which each ReLU lets back only what is positive.

    It draws fine edges, and hardly depends on the class or on the last layers' weights (Adebayo et al., 2018).

    Raises:
        UsageError: A network without ReLUs, whose gradient would come back as it is.
    """
    need(model, relus)
    with _Guided():
        return {PIXELS: _strongest(_gradient(model, images, labels))}


@torch.enable_grad()
def integrated_gradients(
    model: Classifier,
    images: Float[Tensor, "n channels h w"],
    labels: Tensor | None = None,
    *,
    baseline: str = "black",
    steps: int = 50,
    batch_size: int | None = None,
) -> dict[str, Tensor]:
    """The attribution of each pixel, its colours added up, without its sign.

    Args:
        model: Any classifier.
        images: Values in [0, 1].
        labels: The classes (n,); by default the predicted ones.
        baseline: Where the way begins: "black" (the paper's), "mean" (the picture's mean colour) or "blur".
        steps: Points on the way.
        batch_size: About so many points in one forward pass; by default what is fast on the device.

    Raises:
        UsageError: captum is missing, or an unknown baseline.
    """
    need(model, captum)
    start = baseline_of(images, baseline)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what captum imports
        from captum.attr import IntegratedGradients

    with evaluating(model):
        explained = IntegratedGradients(model).attribute(
            images,
            start,
            target=chosen_classes(model(images), labels),
            n_steps=steps,
            internal_batch_size=max(batch_size or pictures_at_once(images), len(images)),
        )
    return {PIXELS: explained.sum(1).abs().detach()}


@torch.enable_grad()
def _gradient(
    model: Classifier, images: Float[Tensor, "n channels h w"], labels: Tensor | None
) -> Float[Tensor, "n channels h w"]:
    """Of each image's logit, for its pixels."""
    images = images.detach().requires_grad_()
    with evaluating(model):
        logit = of_classes(model(images), labels)
    return torch.autograd.grad(logit.sum(), images)[0]


def _strongest(gradients: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n h w"]:
    return gradients.abs().amax(1)


class _GuidedReLU(torch.autograd.Function):
    """A ReLU, up to a ceiling, whose gradient comes back only where it is positive."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ceiling: float) -> Tensor:
        ctx.save_for_backward((x > 0) & (x < ceiling))
        return x.clamp(0, ceiling)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (passed,) = ctx.saved_tensors
        return gradient.relu() * passed, None


_RELUS = (F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_)


def _ceiling(function: Callable[..., Any], settings: Mapping[str, Any]) -> float | None:
    """Up to where a function passes its input on, if it is a ReLU of any kind; else None."""
    if function in _RELUS:
        return torch.inf
    if function is F.hardtanh and settings.get("min_val") == 0:  # nn.ReLU6
        return float(settings["max_val"])
    return 6.0 if function is F.relu6 else None


class _Guided(TorchFunctionMode):
    """While it is on, each ReLU is a guided one, whether a module computes it or a function, in place or not."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if (ceiling := _ceiling(func, kwargs or {})) is not None:
            return _GuidedReLU.apply(args[0], ceiling)
        return func(*args, **(kwargs or {}))
