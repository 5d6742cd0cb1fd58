"""Memory: how much a step needs, how much there is, and how much was used."""

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from payattention.errors import UsageError
from payattention.speed.arithmetic import channels_of
from payattention.system.memory import free_bytes

_TRACED = 2  # images; a batch norm of a single one has no deviation
_MEBI, _GIBI = 2**20, 2**30


def needed_bytes(model: nn.Module, batch_size: int, image_size: int, *, training: bool) -> float:
    """About what a step takes beside the model: in training, what the backward pass needs, gradients and momentum.

    Counted in float32 on shapes alone (PyTorch's meta device): exact for what autograd keeps, and short of what
    convolutions use while they run.
    """
    shadow = copy.deepcopy(model).to("meta").train(training)
    images = torch.empty(_TRACED, channels_of(model), image_size, image_size, device="meta")
    weights = {p.untyped_storage()._cdata for p in shadow.parameters()}
    kept: dict[int, Tensor] = {}  # by storage: views share one

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.set_grad_enabled(training), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        largest = _largest_activation(shadow, images)
    per_image = sum(_bytes(tensor) for key, tensor in kept.items() if key not in weights) / _TRACED
    trained = sum(_bytes(p) for p in shadow.parameters() if p.requires_grad)
    return batch_size * (per_image + largest / _TRACED) + (2 * trained if training else 0)


def _largest_activation(model: nn.Module, images: Tensor) -> int:
    """Bytes of the largest input and output of a layer together."""
    found = [0]

    def note(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        found[0] = max(found[0], sum(_bytes(t) for t in (*inputs, output) if isinstance(t, Tensor)))

    handles = [m.register_forward_hook(note) for m in model.modules() if not list(m.children())]
    model(images)
    for handle in handles:
        handle.remove()
    return found[0]


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def check_fits(model: nn.Module, batch_size: int, image_size: int, *, training: bool, device: torch.device) -> None:
    """Raises UsageError if a step surely takes more memory than is free, before anything is allocated."""
    free = free_bytes(device)
    needed = needed_bytes(model, batch_size, image_size, training=training)
    if free is not None and needed > free:
        raise too_large(batch_size, training, f"it needs about {needed / _GIBI:.1f} GiB, {free / _GIBI:.1f} are free")


def too_large(batch_size: int, training: bool, why: str) -> UsageError:
    what = "training" if training else "inference"
    return UsageError(f"a batch of {batch_size:,} does not fit into memory in {what}: {why}; take a smaller one")


def peak_mebibytes(action: Callable[[], object], device: torch.device) -> float | None:
    """Peak memory while an action runs: of the GPU's tensors, or of the whole process; None where it cannot be told."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        action()
        return round(torch.cuda.max_memory_allocated(device) / _MEBI, 1)
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # forgets the process's earlier peak
    except OSError:
        action()
        return None
    action()
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024, 1)
