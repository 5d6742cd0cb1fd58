"""Saving and loading models: safetensors weights with the JSON configuration in their header; never a pickle.

A run folder holds `model.safetensors`; its header has all that is needed to build the network again, so weights
and configuration cannot be separated and are written in one step.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from payattention.errors import CheckpointError, UsageError, damaged
from payattention.models import Classifier, ModelConfig
from payattention.models.without_values import values_to_come
from payattention.system.files import at_home, replacing
from payattention.weights.backbone import checksum_to_leave_out, is_of_backbone, left_out
from payattention.weights.header import KEY, WEIGHTS, Saved, described, header_of, weights_file, wrong_with
from payattention.weights.rebuilding import blueprint, built, differences, other_layers, stored
from payattention.weights.unwrapping import plain_layers, plain_state, unwrapped


def save(model: nn.Module, path: str | Path, *, dtype: torch.dtype | None = None, backbone: bool = True) -> Path:
    """Writes a model to `path` (a `.safetensors` file, or a folder that gets `model.safetensors`).

    Before anything is written, the network is built again from the header, on the meta device: what `load` would
    refuse is not saved.

    Args:
        model: The model, also one that is compiled (`torch.compile`), in DataParallel or DistributedDataParallel, or
            averaged (`torch.optim.swa_utils.AveragedModel`): what is saved is the model inside.
        path: Where to.
        dtype: Of the weights in the file: float16 halves it, for passing on. `load` gives the model's own type again,
            rounded. By default they are written as they are.
        backbone: Whether the file holds a backbone's weights, too. A frozen one whose pre-trained weights an installed
            package brings need not be in it: `load` takes them from there again.

    Returns:
        The file written.

    Raises:
        UsageError: A network that its name and options do not build again: on a backbone that was given as an object
            and that no name gives, or changed by hand (the message names what was changed); a wrong list of classes;
            weights that `dtype` cannot hold; or a backbone that cannot be left out.
        CheckpointError: The package that brings the backbone is not installed.
    """
    network = unwrapped(model)
    if not isinstance(network, Classifier):
        raise UsageError(f"cannot save a {type(network).__name__}: pa.save takes the classifiers of this package")
    saved = _saved(network)
    _prove(network, saved)
    file = at_home(Path(path))
    if file.suffix != ".safetensors":
        file = file / WEIGHTS
    state = plain_state(network)
    if not backbone:
        saved = saved.model_copy(update={"backbone": checksum_to_leave_out(network, saved, state)})
        state = {name: tensor for name, tensor in state.items() if not is_of_backbone(name)}
    tensors = {name: _stored(name, tensor, dtype) for name, tensor in state.items()}
    with replacing(file) as partial:
        save_file(tensors, partial, metadata={KEY: saved.model_dump_json()})
    return file


def _saved(model: Classifier) -> Saved:
    """What a model's header is to say.

    Raises:
        UsageError: A network that no name builds, or one that is described in a wrong way.
    """
    if not hasattr(model, "config"):
        raise UsageError(
            f"cannot save this {type(model).__name__}: it was composed by hand, and loading could not build it again; "
            "save model.state_dict() yourself"
        )
    if model.config.name.startswith(ModelConfig.OBJECT):
        raise UsageError(
            f"cannot save {model.config.name}: it was given as an object, so loading could not build it again; save "
            "its state_dict() yourself, or pa.attach a timm backbone by name"
        )
    own: dict[str, Any] = {
        name: getattr(model, name)
        for name in ("classes", "image_size", "crop_mode", "levels", "query_dim", "temperature")
    }
    if isinstance(own["classes"], list):
        own["classes"] = tuple(own["classes"])
    try:
        return Saved(**asdict(model.config), **own)
    except ValidationError as error:
        raise UsageError(f"cannot save this {model.name}: {wrong_with(error)}") from None


def _prove(model: Classifier, saved: Saved) -> None:
    """Raises UsageError unless the header gives the model's tensors, and layers of the same classes."""
    try:
        rebuilt = blueprint(saved)
    except CheckpointError as error:
        raise UsageError(f"cannot save this {model.name}: {error}") from None
    state = stored(plain_state(model))
    if changed := differences(stored(rebuilt.state_dict()), state) or other_layers(rebuilt, plain_layers(model)):
        raise UsageError(
            f"cannot save this {model.name}: it was changed by hand, and loading it would build another network: "
            f"{changed}; {_cure(state)}"
        )


def _cure(names: Iterable[str]) -> str:
    text = " ".join(names)
    if "parametrizations." in text:
        return "make its layers plain first (torch.nn.utils.parametrize.remove_parametrizations)"
    if "_mask" in text and "_orig" in text:
        return "make its layers plain first (torch.nn.utils.prune.remove)"
    return "build it with these options instead, or save model.state_dict() yourself"


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

    The file's header is checked, and the network that it describes compared with the tensors that are there, before
    any memory is taken; nothing is fetched.

    Raises:
        CheckpointError: No weights there, not a payattention file, weights of another network, or a file without its
            backbone's where the package that brings them is not installed.
    """
    file = weights_file(at_home(Path(path)))
    header = header_of(file)
    saved = described(header.text, str(file))
    try:
        needed = stored(blueprint(saved).state_dict())
        elsewhere = left_out(saved, needed)
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error}") from None
    if wrong := differences(needed, {**header.tensors, **stored(elsewhere)}):
        raise CheckpointError(f"{file}: weights of another network than {saved.name}: {wrong}")
    with values_to_come():
        model = built(saved)
    _fill(model, file, elsewhere)
    return model


@torch.no_grad()
def _fill(model: Classifier, file: Path, elsewhere: Mapping[str, Tensor]) -> None:
    """Copies a file's tensors one by one, so that they are never in memory twice, and those found elsewhere."""
    try:
        with safe_open(file, "pt") as opened:
            for name, tensor in model.state_dict().items():
                tensor.copy_(elsewhere[name] if name in elsewhere else opened.get_tensor(name))
    except (SafetensorError, OSError) as error:
        raise damaged(file, error) from None
