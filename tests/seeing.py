"""A network whose maps are known: each shows how bright the pixels are."""

import torch
from torch import Tensor

from payattention.models import Classifier, Look


class Brightness(Classifier):
    """Both its levels look where the image is bright, so their combination does; red pixels give NaN."""

    levels = ("low", "high")

    def __init__(self, image_size: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.classes, self.image_size = ("dark", "bright"), image_size

    def look(self, images: Tensor, query: Tensor | None) -> Look:
        red, green, _ = images.unbind(1)
        bright = green * self.weight
        bright = torch.where((red == 1) & (green == 0), torch.nan, bright)
        return Look(logits=images.mean((2, 3))[:, :2], maps={"low": bright, "high": bright})
