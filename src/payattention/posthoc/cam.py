"""Weighted sums of a layer's channels: the activation itself, CAM, and what came of it.

- Activation: the mean over channels of |F|^p (Zagoruyko & Komodakis, 2017, section 3.1, there as a sum). It asks where
  features are strong, whatever the class: the simplest map that any network has.
- CAM: each position's share in a class's logit (Zhou et al., 2016), cut at 0. Exact, and at no cost, where a network
  classifies the mean of its features with one linear layer (`ClassMapped`). For others there is Grad-CAM, which is the
  same map up to a factor on the features that such a network averages.
- Eigen-CAM (Muhammad & Yeasin, 2020): the features of all positions (h*w, d) on their first right singular vector,
  its sign such that they lie on it rather than against it; what lies against it is cut at 0. Whatever the class.
- The others weigh a layer's channels by the gradient g = d logit / d F of a class's logit, at each position i or for
  all of them, and cut the weighted sum at 0: map_i = relu(sum_k w_ki F_ki).

    Grad-CAM     w_k = mean_i g_ki                                (Selvaraju et al., 2017)
    Grad-CAM++   w_k = sum_i alpha_ki relu(g_ki)                  (Chattopadhyay et al., 2018)
                 alpha_ki = g_ki^2 / (2 g_ki^2 + g_ki^3 sum_j F_kj)
    XGrad-CAM    w_k = sum_i g_ki F_ki / sum_j F_kj               (Fu et al., 2020)
    HiResCAM     w_ki = g_ki                                      (Draelos & Carin, 2020)
    LayerCAM     w_ki = relu(g_ki)                                (Jiang et al., 2021)

  Grad-CAM++ is equation 19 of its paper with the derivatives of exp(logit), whose common factor cancels; so does g^2.
  Its alpha are shares of a whole only for features F >= 0, as behind a ReLU. Of signed features, as batch norms and
  transformers give, the sum can be negative: alpha then changes its sign, or has a pole. `signed_features` says so.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from payattention.models import Classifier
from payattention.models.class_activation_map import ClassMapped
from payattention.models.evaluating import evaluating
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


def xgrad_cam(
    model: Classifier, images: Float[Tensor, "n channels h w"], labels: Tensor | None = None
) -> dict[str, Tensor]:
    """The XGrad-CAM map (n, h', w') of each local layer; a channel that sums to 0 weighs nothing."""
    maps = {}
    for name, (local, gradient) in _with_gradients(model, images, labels).items():
        whole = local.sum((2, 3), keepdim=True)
        weights = torch.where(whole == 0, 0.0, (gradient * local).sum((2, 3), keepdim=True) / whole)  # (n, d, 1, 1)
        maps[name] = (weights * local).sum(1).relu()
    return maps


def hires_cam(
    model: Classifier, images: Float[Tensor, "n channels h w"], labels: Tensor | None = None
) -> dict[str, Tensor]:
    """The HiResCAM map (n, h', w') of each local layer."""
    found = _with_gradients(model, images, labels)
    return {name: (local * gradient).sum(1).relu() for name, (local, gradient) in found.items()}


def layer_cam(
    model: Classifier, images: Float[Tensor, "n channels h w"], labels: Tensor | None = None
) -> dict[str, Tensor]:
    """The LayerCAM map (n, h', w') of each local layer."""
    found = _with_gradients(model, images, labels)
    return {name: (local * gradient.relu()).sum(1).relu() for name, (local, gradient) in found.items()}


@torch.no_grad()
def eigen_cam(
    model: Classifier, images: Float[Tensor, "n channels h w"], labels: Tensor | None = None
) -> dict[str, Tensor]:
    """The Eigen-CAM map (n, h', w') of each local layer; `labels` play no part."""
    with local_features(model) as features:
        model(images)
    return {name: _on_first_component(local) for name, local in features.items()}


def _on_first_component(local: Float[Tensor, "n d h w"]) -> Float[Tensor, "n h w"]:
    positions = at_least_float32(local.flatten(2).mT)  # (n, h*w, d)
    component = torch.linalg.svd(positions, full_matrices=False).Vh[:, :1].mT  # (n, d, 1)
    lengths = (positions @ component)[:, :, 0]  # (n, h*w)
    signs = torch.where(lengths.sum(1, keepdim=True) < 0, -1, 1)
    return (signs * lengths).relu().view(len(local), *local.shape[2:])


@torch.no_grad()
def signed_features(model: Classifier, images: Float[Tensor, "n channels h w"]) -> str | None:
    """What to bear in mind of Grad-CAM++ on these images, in a line; None where all features are >= 0."""
    with local_features(model) as features:
        model(images)
    signed = [name for name, local in features.items() if (local < 0).any()]
    if not signed:
        return None
    return (
        f"Grad-CAM++ is derived for features >= 0, as behind a ReLU, and those of {', '.join(signed)} are signed: its "
        "weights there can change their sign"
    )


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
