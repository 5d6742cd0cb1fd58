"""Image classifiers of Hugging Face's transformers, from a folder as `save_pretrained` writes it, or from the Hub."""

from functools import partial
from pathlib import Path

from payattention.errors import CheckpointError, PayAttentionError, UsageError
from payattention.models.fetching import fetched
from payattention.models.wrapped import Wrapped, wrap
from payattention.system.extras import check_there
from payattention.system.pickles import never_opened

CONFIG, WEIGHTS, PICKLE = "config.json", "model*.safetensors", "pytorch_model*.bin"


def transformers_classifier(name: str) -> Wrapped:
    """The network of a folder, or of that name on the Hub, with its weights.

    Its own code is never run, and pickles are never opened. Pixels are normalised as its image processor's
    configuration says.

    Raises:
        UsageError: transformers is not installed, or what is no image classifier.
        CheckpointError: Weights that cannot be had here, or a folder without them.
    """
    check_there(f"transformers:{name}", "transformers")
    folder = Path(name).expanduser()
    if folder.is_dir():
        _check_folder(folder)
    source = str(folder) if folder.is_dir() else name

    from transformers import AutoConfig, AutoModelForImageClassification, ImageProcessingMixin
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    cure = "name a folder that save_pretrained wrote"
    config = fetched(f"transformers:{name}", lambda: AutoConfig.from_pretrained(source), cure)
    try:
        AutoModelForImageClassification._model_mapping[type(config)]
    except KeyError:
        raise UsageError(f"transformers:{name}: {type(config).__name__} describes no image classifier") from None

    reading = {"config": config, "use_safetensors": True, "output_loading_info": True}
    load = partial(AutoModelForImageClassification.from_pretrained, source, **reading)
    network, report = fetched(f"transformers:{name}", load, cure)
    if lacking := sorted(report["missing_keys"]):
        raise CheckpointError(
            f"transformers:{name}: its weights hold no whole classifier: {len(lacking)} tensors are missing "
            f"({lacking[0]})"
        )
    seen = fetched(f"transformers:{name}", lambda: ImageProcessingMixin.get_image_processor_dict(source), cure)[0]
    return wrap(network, mean=seen.get("image_mean"), std=seen.get("image_std"))


def _check_folder(folder: Path) -> None:
    """Raises PayAttentionError for a folder without a configuration, or without weights that can be opened."""
    if not (folder / CONFIG).is_file():
        raise CheckpointError(f"{folder}: no {CONFIG} there, as save_pretrained writes it")
    if not any(folder.glob(WEIGHTS)):
        pickles = sorted(folder.glob(PICKLE))
        error: PayAttentionError = (
            never_opened(pickles[0]) if pickles else CheckpointError(f"{folder}: no model.safetensors in this folder")
        )
        raise error
