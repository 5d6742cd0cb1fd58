"""A classifier out of what training wraps around it: `torch.compile`, DataParallel and DDP, averaged weights."""

import sys

from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

_WRAPPERS = (DataParallel, DistributedDataParallel, AveragedModel)
"""They call their one inner module `module`; what `torch.compile` makes calls it `_orig_mod`."""


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside all wrappers."""
    while inner := _inner(model):
        model = model.get_submodule(inner)
    return model


def plain_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The modules by name, as if none within were wrapped."""
    return {_plain(model, name): layer for name, layer in model.named_modules() if not _inner(layer)}


def plain_state(model: nn.Module) -> dict[str, Tensor]:
    """The state dict, as if no module within were wrapped."""
    own = {f"{name}.n_averaged" for name, layer in model.named_modules() if isinstance(layer, AveragedModel)}
    return {_plain(model, name): tensor for name, tensor in model.state_dict().items() if name not in own}


def _plain(model: nn.Module, name: str) -> str:
    """A tensor's or module's name without the steps into wrappers."""
    kept, here = [], model
    for step in name.split(".") if name else ():
        if step != _inner(here):
            kept.append(step)
        here = getattr(here, step)
        if not isinstance(here, nn.Module):
            break
    return ".".join(kept)


def _inner(module: nn.Module) -> str | None:
    if isinstance(module, _WRAPPERS):
        return "module"
    compiler = sys.modules.get("torch._dynamo")  # seconds to import, and not there where nothing was compiled
    return "_orig_mod" if compiler and isinstance(module, compiler.OptimizedModule) else None
