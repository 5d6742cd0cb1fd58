"""Training a model by a recipe."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from torch import nn

from payattention.data import ImageSet
from payattention.machine import best_device, best_precision
from payattention.models import Classifier, create_model
from payattention.preprocessing import Preprocessing, check_sizes
from payattention.training.batches import DeviceSet
from payattention.training.features import FeatureClassifier, FeatureSet, is_frozen
from payattention.training.model_options import model_options
from payattention.training.module import TrainingModule
from payattention.training.recipe import Recipe
from payattention.training.watching import Bar, Metrics


def new_model(
    name: str, data: ImageSet, recipe: Recipe, *, width: float = 1.0, seed: int = 0, **options: object
) -> Classifier:
    """A fresh network for a data set: its classes, image size and pixel statistics; weights from the seed.

    Raises:
        UsageError: An unknown name, an impossible combination, or a recipe that a frozen backbone cannot follow.
    """
    options = model_options(recipe, name) | options
    check_sizes(options.get("preprocessing"), recipe.sizes)
    torch.manual_seed(seed)
    model = create_model(name, len(data.classes), width, **options)
    if is_frozen(model):
        recipe.check_frozen()
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

    A frozen backbone runs over the data once, and what follows it is trained on the features that it gave.

    Writes one line of metrics an epoch to `out/metrics.jsonl`; the last epoch's weights are the result, nothing is
    selected. With a console, shows a progress bar on it.

    Returns:
        The metrics' lines.
    """
    device = best_device()
    out.mkdir(parents=True, exist_ok=True)
    kept = out / "features.bin"
    network, resident = _ready(model, data, recipe, device, kept, console)
    metrics = Metrics(out / "metrics.jsonl")
    callbacks: list[Callback] = [metrics]
    if console is not None:
        costs = {n: resident.epoch(recipe, seed, n).size ** 2 for n in range(recipe.epochs)}
        callbacks.append(Bar(costs, console))
    torch.manual_seed(seed)  # dropout's stream, whatever was drawn before
    module = TrainingModule(network, resident, recipe, seed).train()  # Lightning leaves the mode as it finds it
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
        try:
            trainer.fit(module)
        except SystemExit:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from None
    kept.unlink(missing_ok=True)
    model.eval()
    return metrics.curve


def _ready(
    model: Classifier, data: ImageSet, recipe: Recipe, device: torch.device, kept: Path, console: Console | None
) -> tuple[nn.Module, DeviceSet | FeatureSet]:
    """What is trained, and on what: the model on images, or what follows a frozen backbone on its features."""
    if not is_frozen(model):
        return model.to(memory_format=torch.channels_last), DeviceSet.of(data, device)
    if console is not None:
        console.print("running the frozen backbone over the pictures, once")
    mirrored = recipe.mirror and data.mirror
    features = FeatureSet.of(model, data, device, kept, mirrored=mirrored)
    return FeatureClassifier(model), features


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
            warnings.filterwarnings("ignore", message=".*in eval mode at the start.*")  # a frozen backbone is
            warnings.filterwarnings("ignore", message=".*number of training batches.*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # Lightning 2.6 on newer PyTorch
            yield
    finally:
        logger.setLevel(level)
