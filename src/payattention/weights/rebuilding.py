"""The network that a header describes: first on the meta device, where it costs no memory, then with weights.

Nothing is fetched and no large memory asked for because a header says so: the network's tensors are compared by name
and shape with those that are really there, and only then is it made.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from payattention.errors import CheckpointError, PayAttentionError
from payattention.models import Classifier, ModelConfig, create_model
from payattention.models.registry import without_pretrained
from payattention.models.rewrites.fold import fold_in_place
from payattention.models.rewrites.prune import prune_in_place
from payattention.models.without_values import without_values
from payattention.weights.header import Saved, Stored

_SPARE = 64 * 2**20
"""Bytes that a network may need for what it computes anew (masks, positions), beside as much as its tensors."""


def blueprint(saved: Saved) -> Classifier:
    """The network on the meta device, in evaluation mode: names, shapes and layers, but no values.

    Raises:
        CheckpointError: There is no such network here, or it cannot look at pictures of its own size.
    """
    try:
        with without_values():
            network = built(saved)
            network.check_size(saved.image_size, saved.image_size)
    except PayAttentionError as error:
        raise CheckpointError(f"its configuration describes no network here ({error})") from None
    except Exception as error:  # timm's families raise anything for options that do not fit each other
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"its configuration describes no network here ({why})") from None
    _check_buffers(network)
    return network


def built(saved: Saved) -> Classifier:
    """The network, its weights fresh, in evaluation mode; the caller's random numbers are left alone."""
    config = ModelConfig(saved.name, saved.num_classes, saved.width, saved.options)
    with torch.random.fork_rng(devices=[]):
        model = create_model(config.name, config.num_classes, config.width, **without_pretrained(config.options))
    if saved.pruned:
        prune_in_place(model)
    if saved.folded:
        fold_in_place(model.eval())
    model.config = ModelConfig(
        saved.name, saved.num_classes, saved.width, saved.options, pruned=saved.pruned, folded=saved.folded
    )
    model.classes, model.image_size, model.crop_mode = saved.classes, saved.image_size, saved.crop_mode
    model.temperature = saved.temperature
    return model.eval()


def stored(tensors: Mapping[str, Tensor]) -> dict[str, Stored]:
    """Tensors without their values."""
    return {name: Stored(tuple(tensor.shape), tensor.is_floating_point()) for name, tensor in tensors.items()}


def differences(needed: Mapping[str, Stored], given: Mapping[str, Stored]) -> str:
    """What of a network's tensors is not as it is needed, by name; "" where all are."""
    both = needed.keys() & given.keys()
    wrong = {
        "missing": needed.keys() - both,
        "unexpected": given.keys() - both,
        "of another shape": [name for name in both if needed[name].shape != given[name].shape],
        "of another kind of number": [name for name in both if needed[name].floating != given[name].floating],
    }
    return ", ".join(f"{len(names)} {kind} ({some(names)})" for kind, names in wrong.items() if names)


def other_layers(needed: nn.Module, given: Mapping[str, nn.Module]) -> str:
    """The layers that are of another class than those needed, which tensors alone would not tell; "" for none."""
    own = dict(needed.named_modules())
    changed = [
        f"{name}: {type(given[name]).__name__} for {type(layer).__name__}"
        for name, layer in own.items()
        if name in given and not _same_layer(given[name], layer)
    ]
    changed += [f"{name}: {type(given[name]).__name__}, added" for name in given.keys() - own.keys()]
    changed += [f"{name}: {type(own[name]).__name__}, taken out" for name in own.keys() - given.keys()]
    return f"{len(changed)} layers ({some(changed)})" if changed else ""


def _same_layer(one: nn.Module, other: nn.Module) -> bool:
    norms = nn.modules.batchnorm._BatchNorm  # one that several processes share computes the same in evaluation
    return isinstance(one, type(other)) or (isinstance(one, norms) and isinstance(other, norms))


def some(names: Iterable[str]) -> str:
    """The first three of some names."""
    first = sorted(names)
    return ", ".join(first[:3]) + (", ..." if len(first) > 3 else "")


def _check_buffers(network: Classifier) -> None:
    """Raises CheckpointError where what a network computes anew is out of proportion to what a file holds."""
    kept = network.state_dict()
    anew = sum(buffer.nbytes for name, buffer in network.named_buffers() if name not in kept)
    if anew > sum(tensor.nbytes for tensor in kept.values()) + _SPARE:
        raise CheckpointError(f"its configuration needs {anew / 2**30:,.1f} GiB beside its weights")
