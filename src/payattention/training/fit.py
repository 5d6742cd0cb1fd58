"""Training a model by a recipe."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from rich.console import Console

from payattention.data import ImageSet
from payattention.machine import best_device, best_precision
from payattention.models import Classifier, create_model, entry
from payattention.preprocessing import Preprocessing, check_sizes
from payattention.training.batches import DeviceSet, Epoch
from payattention.training.module import TrainingModule
from payattention.training.recipe import Recipe
from payattention.training.watching import Bar, Metrics


def new_model(
    name: str, data: ImageSet, recipe: Recipe, *, width: float = 1.0, seed: int = 0, **options: object
) -> Classifier:
    """A fresh network for a data set: its classes, image size and pixel statistics; weights from the seed."""
    check_sizes(options.get("preprocessing"), recipe.sizes)
    torch.manual_seed(seed)
    if recipe.dropout is not None and "dropout" in entry(name).options:
        options.setdefault("dropout", recipe.dropout)
    model = create_model(name, len(data.classes), width, **options)
    model.classes, model.image_size = data.classes, data.image_size
    if isinstance(model.preprocessing, Preprocessing):
        model.preprocessing.fit(torch.from_numpy(data.images).permute(0, 3, 1, 2))
    return model


def fit(
    model: Classifier,
    data: ImageSet,
    recipe: Recipe,
    *,
    out: Path,
    seed: int = 0,
    console: Console | None = None,
) -> list[dict[str, float]]:
    """Trains a model in place, in the machine's best precision, and leaves it in evaluation mode.

    Writes one line of metrics an epoch to `out/metrics.jsonl`; the last epoch's weights are the result, nothing is
    selected. With a console, shows a progress bar on it.

    Returns:
        The metrics' lines.
    """
    device = best_device()
    resident = DeviceSet.of(data, device)
    out.mkdir(parents=True, exist_ok=True)
    metrics = Metrics(out / "metrics.jsonl")
    callbacks: list[Callback] = [metrics]
    if console is not None:
        costs = {n: Epoch(resident, recipe, seed, n).size ** 2 for n in range(recipe.epochs)}
        callbacks.append(Bar(costs, console))
    torch.manual_seed(seed)  # dropout's stream, whatever was drawn before
    module = TrainingModule(model.to(memory_format=torch.channels_last), resident, recipe, seed)
    with _quiet_lightning():
        trainer = Trainer(
            accelerator=device.type,
            devices=1,
            precision=best_precision(device),
            max_epochs=recipe.epochs,
            callbacks=callbacks,
            reload_dataloaders_every_n_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module)
    model.eval()
    return metrics.curve


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Lightning advises DataLoader workers and prints the devices it found; neither concerns this loop."""
    import logging

    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*number of training batches.*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # Lightning 2.6 on newer PyTorch
            yield
    finally:
        logger.setLevel(level)
