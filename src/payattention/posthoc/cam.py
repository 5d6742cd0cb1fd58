"""Weighted sums of a layer's channels: the activation itself, CAM, Grad-CAM and Grad-CAM++.

- Activation: the mean over channels of |F|^p (Zagoruyko & Komodakis, 2017, section 3.1, there as a sum). It asks where
  features are strong, whatever the class: the simplest map that any network has.
- CAM: each position's share in a class's logit (Zhou et al., 2016), cut at 0. Exact, and at no cost, where a network
  classifies the mean of its features with one linear layer (`ClassMapped`). For others there is Grad-CAM, which is the
  same map up to a factor on the features that such a network averages.
- Grad-CAM (Selvaraju et al., 2017) and Grad-CAM++ (Chattopadhyay et al., 2018) weigh a layer's channels by the gradient
  g = d logit / d F of a class's logit and cut the weighted sum at 0:

    map = relu(sum_k w_k F_k)
    Grad-CAM     w_k = mean_i g_ki
    Grad-CAM++   w_k = sum_i alpha_ki relu(g_ki),   alpha_ki = g_ki^2 / (2 g_ki^2 + g_ki^3 sum_j F_kj)

  The latter is equation 19 of its paper with the derivatives of exp(logit), whose common factor cancels; so does g^2.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from payattention.models import Classifier
from payattention.models.class_map import ClassMapped
from payattention.models.modes import evaluating
from payattention.models.preprocessing import at_least_float32
from payattention.posthoc.hooks import class_maps, local_features, need, of_classes


@torch.no_grad()
def activation(
    model: Classifier, images: Float[Tensor, "n channels h w"], labels: Tensor | None = None, *, power: float = 2.0
) -> dict[str, Tensor]:
    """The map of each layer, (n, h', w'); `labels` play no part.

    Args:
        model: Any classifier that names its local layers.
        images: Values in [0, 1].
        labels: Not looked at.
        power: p; the paper's own choice is 2.
    """
    with local_features(model) as features:
        model(images)
    return {name: at_least_float32(local).abs().pow(power).mean(1) for name, local in features.items()}


@torch.no_grad()
def cam(model: Classifier, images: Float[Tensor, "n channels h w"], labels: Tensor | None = None) -> dict[str, Tensor]:
    """The class activation map (n, h', w') of the network's last layer.

    Raises:
        UsageError: A network that has none.
    """
    need(model, class_maps)
    assert isinstance(model, ClassMapped)
    with evaluating(model):
        return {"last layer": at_least_float32(model.class_map(images, labels)).relu()}


def grad_cam(
    model: Classifier, images: Float[Tensor, "n channels h w"], labels: Tensor | None = None
) -> dict[str, Tensor]:
    """The Grad-CAM map (n, h', w') of each local layer."""
    return {
        name: (local * gradient.mean((2, 3), keepdim=True)).sum(1).relu()
        for name, (local, gradient) in _with_gradients(model, images, labels).items()
    }


def grad_cam_plus_plus(
    model: Classifier, images: Float[Tensor, "n channels h w"], labels: Tensor | None = None
) -> dict[str, Tensor]:
    """The Grad-CAM++ map (n, h', w') of each local layer."""
    return {
        name: (local * _plus_plus(local, gradient)).sum(1).relu()
        for name, (local, gradient) in _with_gradients(model, images, labels).items()
    }


def _plus_plus(local: Float[Tensor, "n d h w"], gradient: Float[Tensor, "n d h w"]) -> Float[Tensor, "n d 1 1"]:
    """The channels' weights w_k."""
    denominator = 2 + gradient * local.sum((2, 3), keepdim=True)  # of alpha, shortened by g^2
    shares = torch.where(denominator == 0, 0.0, gradient.relu() / denominator)
    return shares.sum((2, 3), keepdim=True)


@torch.enable_grad()
def _with_gradients(
    model: Classifier, images: Float[Tensor, "n channels h w"], labels: Tensor | None
) -> dict[str, tuple[Tensor, Tensor]]:
    """By layer: local features, and the gradient of each image's logit for them; both (n, d, h', w')."""
    with local_features(model) as features:
        logit = of_classes(model(images), labels)
    gradients = torch.autograd.grad(logit.sum(), list(features.values()))
    return {
        name: (at_least_float32(local.detach()), at_least_float32(g))
        for (name, local), g in zip(features.items(), gradients, strict=True)
    }
