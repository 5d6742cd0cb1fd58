"""A first layer that whitens patches of the training set and is not trained (Page 2019; Jordan 2024: airbench).

Its filters are the principal directions of the training set's 2x2 patches, each scaled to unit variance, and their
negatives, so that a nonlinearity behind them loses nothing: what a network's first layer would have to learn first.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from payattention.models.preprocessing import TrainingImages

EPS = 5e-4
"""Added to the variances, as in airbench: directions that hardly vary are not blown up."""
_PATCHES = 2_000_000  # at most so many are looked at


class PatchWhitening(nn.Conv2d):
    """2x2 convolution to 24 channels: the 12 directions of a 2x2 patch of three colours, and their negatives.

    Of images with k channels a patch has 4k directions.
    Its weights stay as `fit` makes them, random until then; its bias is trained.
    """

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__(in_channels, 2 * 4 * in_channels, 2)
        self.weight.requires_grad_(False)

    @torch.no_grad()
    def fit(self, images: Float[Tensor, "n channels h w"]) -> None:
        """Takes the directions from images that are normalised as the network will see them."""
        patches = F.unfold(images.double(), 2).transpose(1, 2).flatten(0, 1)  # (n l, 4 k)
        variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (
            (directions / (variances + EPS).sqrt()).T.flip(0).view(-1, self.in_channels, 2, 2)
        )  # the strongest first
        self.weight.copy_(torch.cat([filters, -filters]))


def fit_whitening(model: nn.Module, preprocessing: nn.Module, images: TrainingImages) -> None:
    """Fits a model's whitening layers, if it has any, to images spread evenly over a training set."""
    layers = [module for module in model.modules() if isinstance(module, PatchWhitening)]
    if not layers:
        return
    count = max(1, _PATCHES // (images.shape[2] * images.shape[3]))
    some = images[:: -(-len(images) // count)]
    for layer in layers:
        layer.fit(preprocessing(some.float() / 255))
