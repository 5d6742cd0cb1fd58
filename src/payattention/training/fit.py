"""Training a model by a recipe."""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn

from payattention.attention import Compatibility
from payattention.data import ImageSet
from payattention.data.on_disk import Rows
from payattention.data.tensors import Pixels
from payattention.data.uncached import Uncached
from payattention.errors import UsageError
from payattention.models import Classifier, create_model
from payattention.models.attentive import AttentiveClassifier
from payattention.models.patch_whitening import fit_whitening
from payattention.models.preprocessing import Preprocessing, check_sizes
from payattention.system.machine import chosen_device, memory_format, training_precision
from payattention.system.memory import fits, free_bytes, in_gibibytes
from payattention.system.processes import ALONE, here
from payattention.training.batches import StreamedSet, TrainingSet, batches_of, training_set
from payattention.training.callbacks.averaging import Averaging, settle
from payattention.training.callbacks.finiteness import Finite
from payattention.training.callbacks.metrics import Bar, Metrics
from payattention.training.callbacks.snapshots import Snapshots
from payattention.training.callbacks.views import NO_VIEWS, Views
from payattention.training.execution import FASTEST, Execution
from payattention.training.features import FeatureClassifier, FeatureSet, is_frozen
from payattention.training.launch import launched
from payattention.training.loop import BEGINNING, Run, train
from payattention.training.model_options import model_options
from payattention.training.recipe import Recipe

METRICS = "metrics.jsonl"
FEATURES = "features"
"""The folder of a run in which a backbone's features are while it lasts, where memory has no room for them."""


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
    if model.in_channels != data.channels:
        raise UsageError(
            f"the images of {data.name} have {data.channels} channels, and this {name} takes {model.in_channels}: "
            f"give the network in_channels={data.channels}, or read the data with channels={model.in_channels}"
        )
    if is_frozen(model):
        recipe.check_frozen()
    model.classes, model.image_size, model.crop_mode = data.classes, data.image_size, data.crop_mode
    pictures = Pixels(data)
    if isinstance(model.preprocessing, Preprocessing):
        model.preprocessing.fit(pictures)
    fit_whitening(model, model.preprocessing, pictures)
    return model


def fit(
    model: Classifier,
    data: ImageSet,
    recipe: Recipe,
    *,
    out: Path,
    seed: int = 0,
    snapshots: Snapshots | None = None,
    views: Views = NO_VIEWS,
    execution: Execution = FASTEST,
) -> list[dict[str, float]]:
    """Trains a model in place, on the chosen device, in the chosen precision; leaves it on the CPU, in evaluation mode.

    A frozen backbone runs over the data once, and what follows it is trained on the features that it gave.

    Writes one line of metrics an epoch to `metrics.jsonl` and `metrics.csv` in `out`; the last epoch's weights, or
    their average where the recipe has one, are the result, nothing is selected. Under torchrun or srun, all processes
    train together.

    Args:
        model: The network.
        data: What to train on.
        recipe: How.
        out: Folder for the metrics.
        seed: Of order, augmentation and dropout.
        snapshots: Saves the run on its way, and begins where it was saved.
        views: What to show of the run.
        execution: How the network is run.

    Returns:
        The metrics' lines.

    Raises:
        UsageError: A batch that does not divide among the processes.
        Stopped: The snapshots were told to stop.
        PayAttentionError: The loss is no longer finite.
    """
    device, processes = chosen_device(), here()
    processes.check_batch(min(recipe.batch_size, len(data)))
    if device.type == "cuda":
        torch.cuda.set_device(processes.local_rank)
    out.mkdir(parents=True, exist_ok=True)
    model.temperature = 1.0  # what was fitted to other weights is of no use to these
    metrics = Metrics(out / METRICS)
    with _ready(model, data, recipe, out, views.console) as (network, resident):
        averaging = Averaging(network, recipe.averaging) if recipe.averaging else None
        bar = None if views.console is None else _bar(resident, recipe, seed, views.console)
        optional = [callback for callback in (averaging, bar, snapshots) if callback is not None]
        callbacks = [Finite(), metrics, *views.callbacks(model, out, metrics), *optional]
        start = snapshots.start if snapshots else BEGINNING
        torch.manual_seed(seed + processes.rank)  # dropout's stream, whatever was drawn before
        try:
            fabric = launched(device, training_precision(), processes, unused_parameters=_has_unused(model))
            with closing(Run(fabric, processes, network, resident, recipe, seed, callbacks, start)) as run:
                _train(run, model, network, averaging, execution)
        finally:
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
    model.cpu().eval()
    return metrics.curve


def fit_on_features(
    network: nn.Module, features: FeatureSet, recipe: Recipe, *, seed: int = 0, console: Console | None = None
) -> None:
    """Trains what reads features that are kept already, in place and in this process alone; else as `fit` does.

    Leaves the network on the CPU, in evaluation mode.

    Args:
        network: From features by level to logits: what follows a frozen backbone, or anything else that reads them.
        features: Of the pictures to train on.
        recipe: How.
        seed: Of order and dropout.
        console: Where progress is shown.

    Raises:
        PayAttentionError: The loss is no longer finite.
    """
    averaging = Averaging(network, recipe.averaging) if recipe.averaging else None
    bar = None if console is None else _bar(features, recipe, seed, console)
    callbacks = [callback for callback in (Finite(), averaging, bar) if callback is not None]
    torch.manual_seed(seed)  # dropout's stream, whatever was drawn before
    fabric = launched(chosen_device(), training_precision(), ALONE)
    with closing(Run(fabric, ALONE, network, features, recipe, seed, callbacks)) as run:
        train(run)
        if averaging is not None:
            averaging.take_over()
            settle(network, _as_they_are(run))
    network.cpu().eval()


def _train(run: Run, model: Classifier, network: nn.Module, averaging: Averaging | None, execution: Execution) -> None:
    """Trains a network; its averaged weights, where there are any, take the place of the last ones."""
    with execution.convolving(model)(network):
        with execution.compiling(network):
            train(run)
        if averaging is not None:
            averaging.take_over()
            settle(network, _as_they_are(run))


def _bar(data: TrainingSet | FeatureSet, recipe: Recipe, seed: int, console: Console) -> Bar:
    costs = {n: data.epoch(recipe, seed, n).size ** 2 for n in range(recipe.epochs)}
    return Bar(costs, batches_of(len(data), recipe), console)


def _as_they_are(run: Run) -> Iterator[Tensor | dict[str, Tensor]]:
    """The training pictures, or their features, in batches as of another epoch, but without any augmentation."""
    plain = replace(run.recipe, mirror=False, shift=0, cutout=0, sizes=(1.0,))
    return (run.fabric.to_device(inputs) for inputs, _ in run.data.epoch(plain, run.seed, run.epochs))


def _has_unused(model: Classifier) -> bool:
    """A timm network may have parts that no tap needs; what makes g has no use where no level reads it."""
    if any(isinstance(module, Compatibility) and not module.reads_query for module in model.modules()):
        return True
    return isinstance(model, AttentiveClassifier) and model.trunk.has_spare_parts


def _why_streamed(data: ImageSet, device: torch.device) -> str:
    """Where the pictures of a set stay that is not on the device, in a line."""
    needed, free = data.images.nbytes, free_bytes(device)
    if isinstance(data.images, Uncached):
        return "the pictures are decoded anew in every epoch, some batches ahead"
    place = "on disk" if isinstance(data.images, Rows) else "in main memory"
    stay = f"stay {place}, and batches are read ahead"
    if free is None or fits(needed, device):
        return f"the pictures ({in_gibibytes(needed)}) {stay}"
    much = f"{in_gibibytes(needed)}, more than half of the {in_gibibytes(free)} of memory that are free"
    return f"the pictures are {much}: they {stay}"


@contextmanager
def _ready(
    model: Classifier, data: ImageSet, recipe: Recipe, out: Path, console: Console | None
) -> Iterator[tuple[nn.Module, TrainingSet | FeatureSet]]:
    """What is trained, and on what: the model on images, or what follows a frozen backbone on its features.

    Features that memory has no room for lie in shards in `out` until the training has ended; who goes on finds them.
    """
    if not is_frozen(model):
        images = training_set(data, chosen_device())
        if console is not None and isinstance(images, StreamedSet):
            console.print(_why_streamed(data, chosen_device()), highlight=False)
        yield model.to(memory_format=memory_format(model)), images
        return
    folder = out / (FEATURES if here().first else f"{FEATURES}-{here().rank}")
    mirrored = recipe.mirrors(data.mirror)
    features = FeatureSet.of(model, data, chosen_device(), folder, mirrored=mirrored, console=console)
    yield FeatureClassifier(model), features
    shutil.rmtree(folder, ignore_errors=True)
