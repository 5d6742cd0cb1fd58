"""Weights averaged over the last part of a run, whatever its length.

A step's noise moves the weights about; their mean lies nearer to where they tend. A mean that decays by a fixed factor
a step must be tuned anew for each length of a run. Here its horizon is a share of the run so far: at step t the mean
moves 1 / (share t) of the way to the weights, so that in the end the weights of step i count as i^(1 / share - 1) and
the beginning is forgotten (polynomial-decay averaging: Shamir & Zhang 2013; Karras et al. 2024). A share of 1 is the
plain mean of all steps.

Batch norm's statistics belong to the weights that they were gathered with, and the mean of statistics is not the
statistics of the mean: `settle` gathers them anew, as Izmailov et al. (2018) do.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from payattention.models.evaluating import evaluating
from payattention.training.loop import Callback, Run, Step


class Averaging(Callback):
    """Keeps the mean of a model's trained weights while it trains; `take_over` makes it the model's weights.

    Args:
        model: The model, or what follows its frozen backbone.
        share: Of the run so far, above 0 to 1.
    """

    def __init__(self, model: nn.Module, share: float) -> None:
        self.weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.share = share
        self.count = 0
        self.mean: dict[str, Tensor] = {}

    def on_start(self, run: Run) -> None:
        self.mean = {name: p.detach().clone() for name, p in self.weights.items()}  # on their device by now

    @torch.no_grad()
    def on_batch_end(self, run: Run, step: Step) -> None:
        self.count += 1
        way = 1 / max(1.0, self.share * self.count)
        for name, p in self.weights.items():
            self.mean[name].lerp_(p, way)

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "mean": self.mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]
        for name, mean in state["mean"].items():
            self.mean[name].copy_(mean)

    @torch.no_grad()
    def take_over(self) -> None:
        """Replaces the weights by their mean; batch norms are to be settled next."""
        for name, p in self.weights.items():
            p.copy_(self.mean[name])


@torch.no_grad()
def settle(model: nn.Module, batches: Iterable[Any]) -> None:
    """Gathers the statistics of a model's batch norms anew: the mean over these batches.

    `torch.optim.swa_utils.update_bn`, but for two things: the statistics of a frozen backbone stay, and dropout is off,
    as it will be when they are used.

    Args:
        model: In training mode, in which it is left.
        batches: What the model takes, on its device; all of one length.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training and m.track_running_stats]
    momenta = {norm: norm.momentum for norm in norms}
    with evaluating(model):
        for norm in norms:
            norm.reset_running_stats()
            norm.train().momentum = None  # PyTorch's word for the plain mean of all batches
        for inputs in batches:
            model(inputs)
    for norm, momentum in momenta.items():
        norm.momentum = momentum
