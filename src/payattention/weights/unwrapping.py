"""A classifier out of what training wraps around it: `torch.compile`, DataParallel and DDP, averaged weights."""

from torch import Tensor, nn
from torch._dynamo import OptimizedModule
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

_INNER: dict[type[nn.Module], str] = {
    OptimizedModule: "_orig_mod",
    DataParallel: "module",
    DistributedDataParallel: "module",
    AveragedModel: "module",
}
"""The wrappers, and what each calls its one inner module."""


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside all wrappers."""
    while inner := _inner(model):
        model = model.get_submodule(inner)
    return model


def plain_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The modules by name, as if none within were wrapped."""
    layers = {_plain(model, name): layer for name, layer in model.named_modules() if not _inner(layer)}
    return {name: layer for name, layer in layers.items() if not isinstance(layer, tuple(_INNER))}


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
    return next((name for kind, name in _INNER.items() if isinstance(module, kind)), None)
