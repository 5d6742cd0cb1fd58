"""Checkpoints of other implementations, read into networks of our own with the same outputs.

A checkpoint is opened as plain tensors only: a pickle that needs more could run code, and is refused unopened.
"""

import re
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from payattention.errors import CheckpointError
from payattention.models import Classifier, check_model, create_model
from payattention.models.preprocessing import MeanStd
from payattention.models.state_dict import tensors_in
from payattention.system.names import Registry

# the constants of that implementation's training script
_LARGEST = 512  # side of pictures in pixels: what a file says of itself is not believed beyond that
_CIFAR100_MEAN, _CIFAR100_STD = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)


def load_peer(
    path: str | Path, kind: str = "saoyan", *, taps: str = "before", normaliser: str = "softmax"
) -> Classifier:
    """Reads a checkpoint of another implementation, in evaluation mode, on the CPU.

    The model takes pixels in [0, 1], as every model here: the other's normalisation becomes its first module.

    Args:
        path: A file written by `torch.save(net.state_dict(), path)`, or by safetensors.
        kind: "saoyan": github.com/SaoYan/LearnToPayAttention, trained on CIFAR-100. The file tells the size of the
            pictures, and whether it was trained without attention (`--no_attention`): then the two others play no part.
        taps: Attention "before" or "after" the pools. The file does not tell: give what it was trained with
            (`--attn_mode`).
        normaliser: "softmax" if it was trained with `--normalize_attn`, else "sigmoid". The file does not tell.

    Raises:
        UsageError: An unknown kind, place of the taps or normaliser.
        CheckpointError: No such file, no plain state dict, or one of another network; lists every key that is wrong.
    """
    return PEERS[kind](Path(path), taps, normaliser).eval()


def _saoyan(path: Path, taps: str, normaliser: str) -> Classifier:
    check_model("saoyan_vgg_att3", taps=taps, normaliser=normaliser)  # before the file is read
    state = tensors_in(path)
    bias, side = state.get("classify.bias", torch.empty(2)), 32 * _grid(state)
    attends = any(name.startswith(("attn", "projector")) for name in state)
    options: dict[str, object] = {"taps": taps, "normaliser": normaliser} if attends else {}
    options |= {"image_size": side} if side != 32 else {}
    model = create_model("saoyan_vgg_att3" if attends else "saoyan_vgg", max(2, bias.numel()), 1.0, **options)
    model.preprocessing, model.image_size = MeanStd(_CIFAR100_MEAN, _CIFAR100_STD), side
    ours = model.state_dict()
    names = {our: theirs for our in ours if (theirs := saoyan_name(our))}
    wrong = _differences({theirs: _their_shape(theirs, ours[our], side // 32) for our, theirs in names.items()}, state)
    if wrong:
        raise CheckpointError(f"{path}: not a checkpoint of saoyan's network: {'; '.join(wrong)}")
    given = {our: state[theirs].view_as(ours[our]) for our, theirs in names.items() if theirs in state}
    model.load_state_dict(ours | given)
    return model


PEERS: Registry[Callable[[Path, str, str], Classifier]] = Registry("kind of peer checkpoint", {"saoyan": _saoyan})


# how many convolutions each of their blocks has, and how many modules stand between one and the next
_BLOCKS = ((2, 3), (2, 3), (3, 3), (3, 3), (3, 3), (2, 4))  # conv-BN-ReLU, and in the last block a pool
_CONVS = [(block, step * index) for block, (count, step) in enumerate(_BLOCKS, 1) for index in range(count)]
_OTHERS = {
    "trunk.fc16.linear": "dense",
    "attention.projection.to_query.layer7": "projector.op",
    "attention.levels.layer7.compatibility.u": "attn1.op",
    "attention.levels.layer10.compatibility.u": "attn2.op",
    "attention.levels.layer13.compatibility.u": "attn3.op",
    "head.classifier": "classify",
    "classifier": "classify",
}


def saoyan_name(name: str) -> str | None:
    """Their key for one of our parameters or buffers; None if they have none."""
    module, _, leaf = name.rpartition(".")
    if layer := re.fullmatch(r"trunk\.layers\.conv(\d+)\.(conv|norm)", module):
        block, index = _CONVS[int(layer[1]) - 1]
        return f"conv_block{block}.op.{index + (layer[2] == 'norm')}.{leaf}"
    return f"{_OTHERS[module]}.{leaf}" if module in _OTHERS else None


def _grid(state: dict[str, Tensor]) -> int:
    """Side of the convolution that makes g: a 32nd of the pictures' side."""
    shape = state.get("dense.weight", torch.empty(0)).shape
    return min(shape[2], _LARGEST // 32) if len(shape) == 4 and shape[2] else 1


def _their_shape(name: str, ours: Tensor, grid: int) -> tuple[int, ...]:
    """Their g is made by a convolution as large as what it sees, ours by the linear layer that it is."""
    return (len(ours), ours.shape[1] // grid**2, grid, grid) if name == "dense.weight" else tuple(ours.shape)


def _differences(wanted: dict[str, tuple[int, ...]], given: dict[str, Tensor]) -> list[str]:
    """One phrase for the missing, the unexpected and the misshapen keys each, every key named."""
    # torch below 0.4.1 kept no count of batches
    missing = [n for n in wanted if n not in given and not n.endswith("num_batches_tracked")]
    extra = [name for name in given if name not in wanted]
    misshapen = [
        f"{name} {tuple(given[name].shape)} instead of {shape}"
        for name, shape in wanted.items()
        if name in given and tuple(given[name].shape) != shape
    ]
    kinds = {"missing": missing, "unexpected": extra, "misshapen": misshapen}
    return [f"{len(names)} {kind}: {', '.join(names)}" for kind, names in kinds.items() if names]
