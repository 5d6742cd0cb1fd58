"""Maps by trying: what of the picture does the class need? Many forward passes a picture, and no gradient.

- Score-CAM (Wang et al., 2020, algorithm 1): each channel of a layer is enlarged to the picture's size, stretched to
  0 ... 1 and laid over the picture as a mask; channels weigh by the softmax over what the class's logit then is:

    map = relu(sum_k softmax_k(s)_k F_k),   s_k = logit(M_k x + (1 - M_k) b),   M_k = stretched(enlarged(F_k))

  The paper subtracts logit(b), the same for all channels, which the softmax does not see.
- Ablation-CAM (Desai & Ramaswamy, 2020): channels weigh by the share of the logit that is lost without each,
  w_k = (logit - logit without F_k) / |logit|. The paper divides by the logit, which turns the map round where it is
  negative.
- Occlusion (Zeiler & Fergus, 2014): a square covers the picture place by place; a pixel's value is the mean of what the
  logit loses under the squares that cover it, cut at 0.
- RISE (Petsiuk et al., 2018): random masks cover the picture; a pixel's value is the mean of the class's probability
  over the masks that leave it open, each mask weighed by how far it does.
"""

import math
import warnings
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from payattention.attention.maps import stretched, upsampled
from payattention.models import Classifier
from payattention.models.evaluating import evaluating
from payattention.posthoc.baselines import baseline_of
from payattention.posthoc.hooks import chosen_classes, local_features, of_classes, pictures_at_once, with_features

_DRAWN = 64  # of RISE's masks that are drawn together, so that a seed means the same masks on any device


@torch.no_grad()
def score_cam(
    model: Classifier,
    images: Float[Tensor, "n channels h w"],
    labels: Tensor | None = None,
    *,
    baseline: str = "mean",
    batch_size: int | None = None,
) -> dict[str, Tensor]:
    """The Score-CAM map (n, h', w') of each local layer; a forward pass for each of its channels.

    Args:
        model: Any classifier that names its local layers.
        images: Values in [0, 1].
        labels: The classes (n,); by default the predicted ones.
        baseline: What covers a picture: "mean" (its mean colour), "black" or "blur". The authors' code multiplies
            pictures less the data's mean, so that what it covers is of the mean colour.
        batch_size: Masked pictures in one forward pass; by default what is fast on the device.

    Raises:
        UsageError: A model that does not name its layers, or an unknown baseline.
    """
    covers = baseline_of(images, baseline)
    with local_features(model) as features:
        classes = chosen_classes(model(images), labels).tolist()
    maps = {}
    with evaluating(model):
        for name, local in features.items():
            scores = [
                _uncovered(model, image, cover, channels, label, batch_size or pictures_at_once(images))
                for image, cover, channels, label in zip(images, covers, local, classes, strict=True)
            ]
            weights = torch.stack(scores).softmax(1)  # (n, d)
            maps[name] = (weights[:, :, None, None] * local).sum(1).relu()
    return maps


def _uncovered(
    model: Classifier,
    image: Float[Tensor, "channels h w"],
    cover: Float[Tensor, "channels h w"],
    channels: Float[Tensor, "d _ _"],
    label: int,
    batch_size: int,
) -> Float[Tensor, " d"]:
    """A class's logit when each channel alone uncovers the picture."""
    size = (image.shape[1], image.shape[2])
    scores = []
    for some in channels.split(batch_size):
        masks = stretched(upsampled(some, size))[:, None].to(image)  # (b, 1, h, w)
        scores.append(model(masks * image + (1 - masks) * cover)[:, label])
    return torch.cat(scores)


@torch.no_grad()
def ablation_cam(
    model: Classifier, images: Float[Tensor, "n channels h w"], labels: Tensor | None = None, *, batch_size: int = 128
) -> dict[str, Tensor]:
    """The Ablation-CAM map (n, h', w') of each local layer; for each of its channels a pass from that layer on.

    Args:
        model: Any classifier that names its local layers.
        images: Values in [0, 1].
        labels: The classes (n,); by default the predicted ones.
        batch_size: Pictures that lack a channel in one forward pass.

    Raises:
        UsageError: A model that does not name its layers.
    """
    with local_features(model) as features:
        logits = model(images)
    classes = chosen_classes(logits, labels)
    whole = of_classes(logits, classes)[:, None]  # (n, 1)
    maps = {}
    with evaluating(model):
        for name, local in features.items():
            left = [
                _ablated(model, name, image, channels=local.shape[1], batch_size=batch_size)[:, label]
                for image, label in zip(images, classes.tolist(), strict=True)
            ]
            weights = (whole - torch.stack(left)) / whole.abs()  # (n, d)
            maps[name] = (weights[:, :, None, None] * local).sum(1).relu()
    return maps


def _ablated(
    model: Classifier, layer: str, image: Float[Tensor, "channels h w"], *, channels: int, batch_size: int
) -> Float[Tensor, "d c"]:
    """The logits without each channel of a layer.

    The picture is one, and only the layer's features are mapped over, so that `vmap` computes once what comes before
    the layer or goes past it.
    """

    def without(channel: Tensor) -> Tensor:
        kept = (numbers != channel)[:, None, None]  # (d, 1, 1)
        with with_features(model, layer, lambda grid: grid * kept.to(grid)):
            return model(image[None])[0]

    numbers = torch.arange(channels, device=image.device)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*batching rule")  # what vmap has none for, it takes one by one
        logits: Tensor = torch.vmap(without, chunk_size=batch_size)(numbers)
    return logits


@torch.no_grad()
def occlusion(
    model: Classifier,
    images: Float[Tensor, "n channels h w"],
    labels: Tensor | None = None,
    *,
    baseline: str = "mean",
    window: int | None = None,
    stride: int | None = None,
) -> dict[str, Tensor]:
    """What the logit loses where a square covers the picture, as {"pixels": (n, H, W)}.

    Args:
        model: Any classifier.
        images: Values in [0, 1].
        labels: The classes (n,); by default the predicted ones.
        baseline: What the square shows: "mean" (the picture's mean colour; the paper's is grey), "black" or "blur".
        window: The square's side in pixels; by default a quarter of the shorter side.
        stride: Pixels from one place to the next; by default half the window.

    Raises:
        UsageError: An unknown baseline.
    """
    covers = baseline_of(images, baseline)
    height, width = images.shape[2:]
    window = window or max(1, min(height, width) // 4)
    stride = stride or max(1, window // 2)
    lost, covered = images.new_zeros(len(images), height, width), images.new_zeros(height, width)
    with evaluating(model):
        logits = model(images)
        classes = chosen_classes(logits, labels)
        whole = of_classes(logits, classes)
        for square in _squares(height, width, window, stride):
            mask = torch.zeros_like(covered)
            mask[square] = 1
            loss = whole - of_classes(model(torch.where(mask > 0, covers, images)), classes)  # (n,)
            lost += loss[:, None, None] * mask
            covered += mask
    return {"pixels": (lost / covered).relu()}


def _squares(height: int, width: int, window: int, stride: int) -> Iterator[tuple[slice, slice]]:
    """Squares that cover a picture; the last ones may reach over its border."""
    steps = (math.ceil(max(side - window, 0) / stride) for side in (height, width))
    rows, columns = (range(0, count * stride + 1, stride) for count in steps)
    return ((slice(y, y + window), slice(x, x + window)) for y in rows for x in columns)


@torch.no_grad()
def rise(
    model: Classifier,
    images: Float[Tensor, "n channels h w"],
    labels: Tensor | None = None,
    *,
    baseline: str = "mean",
    masks: int = 1000,
    seed: int = 0,
    batch_size: int | None = None,
) -> dict[str, Tensor]:
    """The mean probability of the class where a pixel is left open, as {"pixels": (n, H, W)}.

    Args:
        model: Any classifier.
        images: Values in [0, 1].
        labels: The classes (n,); by default the predicted ones.
        baseline: What covers a picture: "mean" (its mean colour; the authors' code has the data's), "black" or "blur".
        masks: How many (the paper: 4,000 for VGG16, 8,000 for ResNet50).
        seed: Of the masks, which are the same for all pictures.
        batch_size: Masked pictures in one forward pass; by default what is fast on the device.

    Raises:
        UsageError: An unknown baseline.
    """
    covers = baseline_of(images, baseline)
    random = torch.Generator().manual_seed(seed)
    total, open_ = images.new_zeros(len(images), *images.shape[2:]), images.new_zeros(images.shape[2:])
    with evaluating(model):
        classes = chosen_classes(model(images), labels).tolist()
        for start in range(0, masks, _DRAWN):
            some = random_masks(min(_DRAWN, masks - start), images.shape[2], images.shape[3], random).to(images)
            open_ += some.sum(0)
            for n, (image, cover, label) in enumerate(zip(images, covers, classes, strict=True)):
                for few in some.split(batch_size or pictures_at_once(images)):
                    seen = few[:, None] * image + (1 - few[:, None]) * cover  # (b, channels, H, W)
                    total[n] += (model(seen).softmax(1)[:, label, None, None] * few).sum(0)
    return {"pixels": total / open_}


def random_masks(
    count: int, height: int, width: int, random: torch.Generator, cells: int = 7
) -> Float[Tensor, "b h w"]:
    """RISE's masks in 0 ... 1: 7x7 cells, each open or shut by half a chance, enlarged and moved by part of a cell."""
    grids = (torch.rand(count, 1, cells, cells, generator=random) < 0.5).float()
    cell_height, cell_width = -(-height // cells), -(-width // cells)
    large = F.interpolate(grids, ((cells + 1) * cell_height, (cells + 1) * cell_width), mode="bilinear")[:, 0]
    ys, xs = (torch.randint(side, (count,), generator=random).tolist() for side in (cell_height, cell_width))
    return torch.stack([mask[y : y + height, x : x + width] for mask, y, x in zip(large, ys, xs, strict=True)])
