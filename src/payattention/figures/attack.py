"""One picture under attacks of growing size, what models see in it, and where they look (paper, figure 5)."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from payattention.attention.maps import drawable
from payattention.evaluation.attack import predicted
from payattention.evaluation.attacks import PAPER_EPS, Attack, check_eps
from payattention.explaining.inputs import as_input, check_size
from payattention.models import Classifier
from payattention.models.evaluating import evaluating
from payattention.models.prediction import check_logits
from payattention.pictures.channels import visible
from payattention.pictures.drawing import captioned, contact_sheet, overlay
from payattention.posthoc import own_maps
from payattention.system.machine import device_of

_CELL = 150  # pixels


def attack_figure(
    models: Mapping[str, Classifier],
    pictures: Mapping[str, Image.Image],
    attack: Attack,
    eps: Sequence[float] = PAPER_EPS,
    *,
    size: int | None = None,
) -> Image.Image:
    """A sheet: a column for the clean picture and one for each size of the attack.

    For each picture and model there is a row of pictures with the predicted class and its probability under each,
    and below it, if the model has maps, a row of its combined maps.

    Args:
        models: By the name to call them.
        pictures: By the name to call them, RGB; at least one.
        attack: Leads away from the class predicted for the clean picture.
        eps: Sizes of the attack, in steps of 8-bit pixels.
        size: Shorter side of the pictures as the models see them, in pixels; by default that of their training.

    Raises:
        UsageError: Sizes that an attack or a model cannot take.
        DataError: Logits that are no numbers.
    """
    check_eps(eps)
    rows: list[list[Image.Image]] = []
    labels: list[str] = []
    for picture_name, picture in pictures.items():
        for model_name, model in models.items():
            with evaluating(model, device_of(model)) as device:
                clean = as_input(model, picture, _checked(model, size)).to(device)
                images = torch.cat([clean, *attack.versions(model, clean, predicted(model, clean), eps)])
                seen, maps = _seen(model, images)
            shown = [as_picture(image) for image in images]
            rows.append([captioned(image, text, _CELL) for image, text in zip(shown, seen, strict=True)])
            labels.append(f"{picture_name}, attacked as {model_name} sees it")
            if maps is not None:
                overlays = [overlay(image, heat.numpy()) for image, heat in zip(shown, maps, strict=True)]
                rows.append([captioned(image, "", _CELL) for image in overlays])  # as large as those above
                labels.append(f"where {model_name} looks")
    return contact_sheet(rows, ["clean", *(f"eps {size:g}" for size in eps)], labels, cell=_CELL)


def _checked(model: Classifier, size: int | None) -> int:
    size = model.image_size if size is None else size
    check_size(model, size)
    return size


def _seen(model: Classifier, images: Float[Tensor, "n channels h w"]) -> tuple[list[str], Tensor | None]:
    """The predicted class of each image, with its probability, and the combined maps (n, h, w) of a model with maps."""
    with torch.no_grad():
        logits = model(images)
    check_logits(model, logits)
    probabilities, labels = model.probabilities(logits).max(1)
    names = model.class_names(logits.shape[1])
    texts = [f"{names[label]} ({p:.0%})" for label, p in zip(labels.tolist(), probabilities.tolist(), strict=True)]
    if not (model.levels or model.posthoc_method):
        return texts, None
    height, width = images.shape[2:]
    return texts, drawable(model.joint(own_maps(model, images)).float(), (height, width)).cpu()


def as_picture(image: Float[Tensor, "channels h w"]) -> Image.Image:
    """An image with values in [0, 1] as one to look at, in 8 bits."""
    pixels = (image.permute(1, 2, 0) * 255).round().cpu().numpy().astype(np.uint8)
    return visible(pixels)
