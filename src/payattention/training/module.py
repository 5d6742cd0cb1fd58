"""The training step."""

from typing import Any

import torch.nn.functional as F
from lightning import LightningModule
from torch import Tensor, nn

from payattention.attention.sampling import draws
from payattention.training.batches import DeviceSet, Epoch
from payattention.training.features import FeatureEpoch, FeatureSet
from payattention.training.optimisation import create_optimizer, create_schedule
from payattention.training.recipe import Recipe
from payattention.training.reinforce import score_function


class TrainingModule(LightningModule):
    """Trains a classifier on a set that lives on its device, or what follows a frozen backbone on its features.

    Cross-entropy of the logits is the exact loss of every head (`payattention.heads`); hard attention adds the term
    that trains what it draws.
    """

    def __init__(self, model: nn.Module, data: DeviceSet | FeatureSet, recipe: Recipe, seed: int) -> None:
        super().__init__()
        self.model = model
        self.data = data
        self.recipe = recipe
        self.seed = seed

    def train_dataloader(self) -> Epoch | FeatureEpoch:
        return self.data.epoch(self.recipe, self.seed, self.current_epoch)

    def training_step(self, batch: tuple[Any, Tensor], index: int) -> dict[str, Tensor]:
        inputs, labels = batch
        with draws() as drawn:
            logits = self.model(inputs)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        if drawn:
            losses = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing, reduction="none")
            loss = loss + score_function(drawn, losses)
        return {"loss": loss, "wrong": (logits.detach().argmax(1) != labels).sum()}

    def configure_optimizers(self) -> dict[str, Any]:  # type: ignore[override]
        optimizer = create_optimizer(self.model, self.recipe)
        schedule = create_schedule(optimizer, self.recipe, len(self.train_dataloader()))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
