"""Snapshots: all that a run needs to go on exactly where it stood, as safetensors with JSON in the header.

A snapshot is one file, written beside its place, brought to the disk and then renamed, so that there is a whole one or
none. The last two are kept: one that was damaged later is told by its checksum, and the one before it serves.
"""

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from payattention.errors import CheckpointError
from payattention.system.files import replacing

KEPT = 2
_HEADER = "payattention_snapshot"

State = Mapping[str, Any]
"""Nested dicts, lists and tuples of tensors, numbers, texts and None."""


class SnapshotError(CheckpointError):
    """A snapshot that could not be written."""


def write(folder: Path, step: int, state: State) -> Path:
    """Writes the snapshot of a step; older ones but the last go.

    Raises:
        SnapshotError: It could not be written, as on a full disk; those before it are whole.
    """
    file = folder / f"step-{step:09d}.safetensors"
    tensors: dict[str, Tensor] = {}
    header = {"state": _packed(state, tensors), "checksum": _checksum(tensors)}
    try:
        with replacing(file) as partial:
            save_file(tensors, partial, metadata={_HEADER: json.dumps(header)})
            _to_disk(partial)
    except (OSError, SafetensorError) as error:
        raise SnapshotError(f"{file}: could not be written ({error})") from None
    for old in written(folder)[:-KEPT]:
        old.unlink(missing_ok=True)
    return file


def written(folder: Path) -> list[Path]:
    """The snapshots in a folder, the newest last."""
    return sorted(folder.glob("step-*.safetensors"))


def newest(folder: Path) -> tuple[State | None, list[str]]:
    """The newest snapshot that is whole, None where there is no snapshot; and what is wrong with those after it.

    Raises:
        CheckpointError: There are some, and none is whole.
    """
    problems: list[str] = []
    for file in reversed(written(folder)):
        try:
            return read(file), problems
        except CheckpointError as error:
            problems.append(str(error))
    if problems:
        raise CheckpointError(
            f"no snapshot of this run is whole ({'; '.join(problems)}); delete {folder} to go on from its first step"
        )
    return None, []


def read(file: Path) -> State:
    """The state that a snapshot holds, its tensors on the CPU and with their strides.

    Raises:
        CheckpointError: A file that is damaged or something else.
    """
    try:
        with safe_open(file, "pt") as opened:
            header = json.loads((opened.metadata() or {})[_HEADER])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a dict)
        if _checksum(tensors) != header["checksum"]:
            raise ValueError("its checksum is wrong")
        state: State = _unpacked(header["state"], tensors)
    except (SafetensorError, OSError, ValueError, LookupError, TypeError) as error:
        raise CheckpointError(f"{file}: a damaged snapshot ({error})") from None
    return state


def _packed(value: Any, tensors: dict[str, Tensor]) -> Any:
    """A state as JSON; its tensors, which it names by their number, are put aside."""
    match value:
        case Tensor():
            name = str(len(tensors))
            tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)  # it may share memory
            return {"tensor": name, "stride": list(value.stride())}
        case Mapping():
            return {"dict": [[_packed(key, tensors), _packed(item, tensors)] for key, item in value.items()]}
        case list():
            return {"list": [_packed(item, tensors) for item in value]}
        case tuple():
            return {"tuple": [_packed(item, tensors) for item in value]}
        case None | bool() | int() | float() | str():
            return value
    raise TypeError(f"a snapshot cannot hold a {type(value).__name__}")


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    match value:
        case {"tensor": name, "stride": stride}:
            # sums over channels-last memory round in another order than over contiguous memory
            return torch.empty_strided(tensors[name].shape, stride, dtype=tensors[name].dtype).copy_(tensors[name])
        case {"dict": items}:
            return {_unpacked(key, tensors): _unpacked(item, tensors) for key, item in items}
        case {"list": items}:
            return [_unpacked(item, tensors) for item in items]
        case {"tuple": items}:
            return tuple(_unpacked(item, tensors) for item in items)
    return value


def _checksum(tensors: Mapping[str, Tensor]) -> int:
    checksum = 0
    for name in sorted(tensors):
        checksum = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, checksum)
    return checksum


def _to_disk(file: Path) -> None:
    """Waits until a file's content has left the machine's memory: the renaming must not overtake it."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
