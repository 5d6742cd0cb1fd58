"""A frozen backbone's pre-trained weights, left out of a file where a package brings them, and found again by `load`.

What attention learns on such a backbone is a small part of the network. The header keeps a checksum of what was left
out, so that other weights are not taken for those that it was trained on.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import fields

import torch
from torch import Tensor

from payattention.errors import CheckpointError, UsageError
from payattention.models import Classifier
from payattention.models.timm_backbones.attach import PREFIX
from payattention.models.timm_backbones.backbone import BackboneOptions, build_backbone
from payattention.models.timm_backbones.pretrained import bringing
from payattention.models.timm_backbones.trunk import TimmTrunk
from payattention.system.extras import installing, missing
from payattention.weights.header import Saved

_PLACE = "trunk.backbone."


def is_of_backbone(name: str) -> bool:
    """Whether a tensor of that name is the backbone's."""
    return name.startswith(_PLACE)


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of a backbone's tensors, by name: of those among the given ones."""
    return sha256_of({name: value for name, value in tensors.items() if is_of_backbone(name)})


def sha256_of(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors by name: of the names in alphabetical order, each with its tensor's bytes."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def checksum_to_leave_out(model: Classifier, saved: Saved, tensors: Mapping[str, Tensor]) -> str:
    """The checksum of the weights that a file need not hold.

    Raises:
        UsageError: No package brings them, or the model's are others.
        CheckpointError: That package is not installed.
    """
    trunk = getattr(model, "trunk", None)
    if not (isinstance(trunk, TimmTrunk) and trunk.frozen and bringing(_backbone(saved))):
        raise UsageError(
            f"cannot leave out the backbone of this {model.name}: only a frozen one whose weights a package brings "
            f"(timm:tf_efficientnet_lite0, freeze=True) is found again"
        )
    own = checksum(tensors)
    if checksum({name: value for name, value in brought(saved).items() if name in tensors}) != own:
        raise UsageError(
            f"cannot leave out the backbone of this {model.name}: its weights are not the pre-trained ones"
        )
    return own


def left_out(saved: Saved, needed: Mapping[str, object]) -> dict[str, Tensor]:
    """The tensors that a file leaves out, of those that its network needs; none where it leaves out none.

    Nothing is fetched.

    Raises:
        CheckpointError: The package that brings them is not installed, or brings others.
    """
    if not saved.backbone:
        return {}
    found = {name: value for name, value in brought(saved).items() if name in needed}
    if checksum(found) != saved.backbone:
        module = bringing(_backbone(saved))
        cure = f"; `{installing(module)}` brings them" if module else ""
        raise CheckpointError(f"its backbone's weights are not those of {_backbone(saved)} here{cure}")
    return found


def brought(saved: Saved) -> dict[str, Tensor]:
    """The backbone's weights from the package, by the names that they have in the model.

    Raises:
        CheckpointError: No package brings them, or it is not installed.
    """
    name = _backbone(saved)
    module = bringing(name)
    if module is None:
        raise CheckpointError(f"it leaves out its backbone's weights, which no package brings ({saved.name})")
    if (line := missing(f"the backbone {name}", module)) is not None:
        raise CheckpointError(line)
    own = {field.name: saved.options[field.name] for field in fields(BackboneOptions) if field.name in saved.options}
    state = build_backbone(name, BackboneOptions(**own), pretrained=True).state_dict()  # type: ignore[arg-type]
    return {_PLACE + name: value for name, value in state.items()}


def _backbone(saved: Saved) -> str:
    """Its timm name; "" where it has none."""
    return saved.name.removeprefix(PREFIX) if saved.name.startswith(PREFIX) else ""
