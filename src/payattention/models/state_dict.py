"""A file of weights by name, whoever wrote it: safetensors, or what torch.save wrote of tensors alone."""

import pickle
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from payattention.errors import CheckpointError
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
