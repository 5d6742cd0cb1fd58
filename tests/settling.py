"""Networks as training leaves them, without training them."""

import torch
from torch import nn

from payattention.models import Classifier


@torch.no_grad()
def settled(model: Classifier, size: tuple[int, int] = (32, 32), images: int = 8) -> Classifier:
    """Gives batch norms the statistics of random images, and every parameter a value of its own; then evaluates.

    A fresh network is a special case: gammas of 1, betas and biases of 0, and statistics that nothing has.
    """
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.momentum = 1.0
        elif isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.normal_(module.bias, std=0.1)
    model.train()(torch.rand(images, 3, *size))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 0.1
    return model.eval()
