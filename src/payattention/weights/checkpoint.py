"""Saving and loading models: safetensors weights with the JSON configuration in their header; never a pickle.

A run folder holds `model.safetensors`; its header has all that is needed to build the network again, so weights
and configuration cannot be separated and are written in one step.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from payattention.errors import CheckpointError, PayAttentionError, UsageError
from payattention.models import Classifier, ModelConfig, create_model, fold, prune
from payattention.models.registry import without_pretrained
from payattention.system.files import replacing
from payattention.weights.header import KEY, WEIGHTS, configuration, weights_file


def save(model: Classifier, path: str | Path, *, dtype: torch.dtype | None = None) -> Path:
    """Writes a model to `path` (a `.safetensors` file, or a folder that gets `model.safetensors`).

    Args:
        model: The model.
        path: Where to.
        dtype: Of the weights in the file: float16 halves it, for passing on. `load` gives the model's own type again,
            rounded. By default they are written as they are.

    Returns:
        The file written.

    Raises:
        UsageError: A model on a backbone that was given as an object and that no name builds again, or weights that
            `dtype` cannot hold.
    """
    if model.config.name.startswith(ModelConfig.OBJECT):
        raise UsageError(
            f"cannot save {model.config.name}: its backbone was given as an object that timm does not build from a "
            "name, so loading could not build it again; attach by name, or save model.state_dict() yourself"
        )
    file = Path(path)
    if file.suffix != ".safetensors":
        file = file / WEIGHTS
    header = {
        **asdict(model.config),
        "classes": list(model.classes),
        "image_size": model.image_size,
        "crop_mode": model.crop_mode,
        "levels": list(model.levels),
        "query_dim": model.query_dim,
    }
    tensors = {name: _stored(name, tensor, dtype) for name, tensor in model.state_dict().items()}
    with replacing(file) as partial:
        save_file(tensors, partial, metadata={KEY: json.dumps(header)})
    return file


def _stored(name: str, tensor: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    tensor = tensor.detach().cpu().contiguous()
    if dtype is None or not tensor.is_floating_point():
        return tensor
    stored = tensor.to(dtype)
    if (stored.isinf() & tensor.isfinite()).any():
        raise UsageError(f"{name} has values beyond the range of {dtype}; save it in another type, such as bfloat16")
    return stored


def load(path: str | Path) -> Classifier:
    """Reads a model from a run folder or a `.safetensors` file, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: No weights there, not a payattention file, or weights of another network.
    """
    file = weights_file(Path(path))
    header, tensors = configuration(file), _tensors(file)
    try:
        model = _built(header)
    except (KeyError, TypeError, ValueError, PayAttentionError) as error:
        raise CheckpointError(f"{file}: its configuration describes no network here ({error})") from None
    _fill(model, tensors, file)
    return model.eval()


def _built(header: Mapping[str, Any]) -> Classifier:
    """The network that a header describes, its weights still random; the caller's random numbers are left alone."""
    config = ModelConfig(header["name"], header["num_classes"], header["width"], header["options"])
    with torch.random.fork_rng(devices=[]):
        model = create_model(config.name, config.num_classes, config.width, **without_pretrained(config.options))
    model.config = config
    if header.get("pruned", False):
        model = prune(model)
    if header.get("folded", False):
        model = fold(model)
    model.classes = tuple(header["classes"])
    if len(model.classes) not in (0, config.num_classes):
        raise ValueError(f"{len(model.classes)} class names for {config.num_classes} classes")
    model.image_size, model.crop_mode = int(header["image_size"]), str(header.get("crop_mode", "center"))
    return model


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    try:
        with safe_open(file, "pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: damaged or not a safetensors file ({error})") from None


def _fill(model: Classifier, tensors: dict[str, torch.Tensor], file: Path) -> None:
    own = model.state_dict()
    missing, extra = own.keys() - tensors.keys(), tensors.keys() - own.keys()
    misshapen = [name for name in own.keys() & tensors.keys() if own[name].shape != tensors[name].shape]
    if missing or extra or misshapen:
        wrong = [
            f"{len(names)} {kind} ({_some(names)})"
            for kind, names in (("missing", missing), ("unexpected", extra), ("of another shape", misshapen))
            if names
        ]
        raise CheckpointError(f"{file}: weights of another network than {model.name}: {', '.join(wrong)}")
    model.load_state_dict(tensors)


def _some(names: Iterable[str]) -> str:
    first = sorted(names)
    return ", ".join(first[:3]) + (", ..." if len(first) > 3 else "")
