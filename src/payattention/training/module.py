"""The training step."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch.nn.functional as F
from lightning import LightningModule
from torch import Tensor, nn

from payattention.attention.normaliser import draws
from payattention.system.processes import ALONE, Processes
from payattention.training.batches import DeviceSet, Epoch, batches_of
from payattention.training.callbacks.snapshots import BEGINNING, Position
from payattention.training.features import FeatureEpoch, FeatureSet
from payattention.training.optimisation import create_optimizer, create_schedule
from payattention.training.recipe import Recipe
from payattention.training.reinforce import score_function
from payattention.training.synchronised import SynchronisedBatchNorm


class TrainingModule(LightningModule):
    """Trains a classifier on a set that lives on its device, or what follows a frozen backbone on its features.

    Cross-entropy of the logits is the exact loss of every head (`payattention.models.heads`); hard attention adds the
    term that trains what it draws.

    Args:
        model: The classifier, or what follows its frozen backbone.
        data: The set, or its features.
        recipe: How to train.
        seed: Of order and augmentation.
        start: Where to begin.
        processes: Those that train together; each takes its share of every batch.
    """

    def __init__(
        self,
        model: nn.Module,
        data: DeviceSet | FeatureSet,
        recipe: Recipe,
        seed: int,
        start: Position = BEGINNING,
        processes: Processes = ALONE,
    ) -> None:
        super().__init__()
        self.model = model
        self.data = data
        self.recipe = recipe
        self.seed = seed
        self.start = start
        self.processes = processes

    @property
    def batches(self) -> int:
        """Steps in a whole epoch."""
        return batches_of(len(self.data), self.recipe)

    def train_dataloader(self) -> Epoch | FeatureEpoch:
        first = self.start.batch if self.current_epoch == self.start.epoch else 0
        return self.data.epoch(self.recipe, self.seed, self.current_epoch, first, self.processes)

    def training_step(self, batch: tuple[Any, Tensor], index: int) -> dict[str, Tensor]:
        inputs, labels = batch
        with self._over_all_processes(), draws() as drawn:
            logits = self.model(inputs)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        if drawn:
            losses = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing, reduction="none")
            loss = loss + score_function(drawn, losses)
        return {"loss": loss, "wrong": (logits.detach().argmax(1) != labels).sum()}

    def configure_optimizers(self) -> dict[str, Any]:  # type: ignore[override]
        optimizer = create_optimizer(self.model, self.recipe)
        schedule = create_schedule(optimizer, self.recipe, self.batches)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _over_all_processes(self) -> AbstractContextManager[Any]:
        return SynchronisedBatchNorm() if self.processes.count > 1 else nullcontext()
