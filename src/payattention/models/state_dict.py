"""A file of weights by name, whoever wrote it: safetensors, or what torch.save wrote of tensors alone."""

import pickle
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from payattention.errors import CheckpointError
from payattention.models.without_values import without_values
from payattention.system.pickles import is_pickle, never_opened

_WITHIN = ("model_ema", "state_dict_ema", "state_dict", "model")
"""What training scripts call the tensors among all that they save."""


def tensors_in(file: Path) -> dict[str, Tensor]:
    """The tensors of a file of weights, by name.

    Raises:
        CheckpointError: No such file, a damaged one, or one that holds more than tensors: it could run code.
    """
    if not file.is_file():
        raise CheckpointError(f"{file}: no such file")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        with warnings.catch_warnings():  # torch's advice on pickles that are refused anyway
            warnings.simplefilter("ignore")
            found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # an unpickler that is fed other bytes raises nearly anything
        if isinstance(error, pickle.UnpicklingError) and is_pickle(file):
            raise never_opened(file, holds_more=True) from None
        why = str(error).strip().partition("\n")[0] or type(error).__name__
        kind = "safetensors" if file.suffix == ".safetensors" else "torch.save"
        raise CheckpointError(f"{file}: damaged, or no file of {kind} ({why})") from None
    found = next((found[key] for key in _WITHIN if isinstance(found, dict) and isinstance(found.get(key), dict)), found)
    tensors = found.items() if isinstance(found, dict) else ()
    named = {str(name).removeprefix("module."): value for name, value in tensors if isinstance(value, Tensor)}
    if not named:
        raise CheckpointError(f"{file}: not tensors by name, as torch.save(net.state_dict(), file) writes them")
    return named


def classes_of(tensors: Mapping[str, Tensor], build: Callable[[int], nn.Module], file: Path) -> int:
    """How many classes a file's weights are of, by the tensors whose shape depends on it.

    Args:
        tensors: Of the file, by name.
        build: The network for so many classes.
        file: Where they are from.

    Raises:
        CheckpointError: They hold no classifier.
    """
    with without_values():
        fewer, more = (build(count).state_dict() for count in (10, 11))
    telling = [name for name, tensor in fewer.items() if tensor.shape != more[name].shape]
    for name in telling:
        axis = next(
            k for k, (one, other) in enumerate(zip(fewer[name].shape, more[name].shape, strict=True)) if one != other
        )
        if name in tensors and axis < tensors[name].ndim:
            return tensors[name].shape[axis]
    lacking = telling[0] if telling else "its weights"
    raise CheckpointError(
        f"{file}: holds no classifier ({lacking} is missing): payattention train puts one on the features of a network "
        "of timm (--model timm:NAME --weights FILE)"
    )


def fill(network: nn.Module, tensors: Mapping[str, Tensor], file: Path, called: str) -> None:
    """Gives a network the weights of a file: all of its own, and nothing else lies there.

    Raises:
        CheckpointError: They are another network's; names a tensor of each kind that is wrong.
    """
    own = network.state_dict()
    lacking = [name for name in own if name not in tensors and not name.endswith("num_batches_tracked")]
    other = [name for name in own if name in tensors and tensors[name].shape != own[name].shape]
    unknown = [name for name in tensors if name not in own]
    kinds = {
        f"lacks {len(lacking)} of {len(own)} tensors": lacking,
        f"has {len(other)} of other shapes": other,
        f"has {len(unknown)} that this network has not": unknown,
    }
    if wrong := [f"{kind} ({names[0]})" for kind, names in kinds.items() if names]:
        raise CheckpointError(f"{file}: not the weights of {called}: it {' and '.join(wrong)}")
    network.load_state_dict(dict(tensors), strict=False)
