"""Pickles: known by their names and first bytes, never opened, since they can run code; and what to do with one."""

import zipfile
from pathlib import Path

from payattention.errors import CheckpointError

_SUFFIXES = {".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth", ".tar"}
_PROTOCOL = b"\x80"
"""The first byte of a pickle; torch.save puts its own into a ZIP archive, as `data.pkl`."""


def looks_like_pickle(file: Path) -> bool:
    """Whether a file is called like a pickle, or is one."""
    return called_like_pickle(file) or is_pickle(file)


def called_like_pickle(file: Path) -> bool:
    """Whether a file has a pickle's name, wherever it lies."""
    return file.suffix.lower() in _SUFFIXES


def is_pickle(file: Path) -> bool:
    """Whether a file was written by pickle or torch.save, by what stands in it."""
    try:
        with file.open("rb") as opened:
            if opened.read(1) == _PROTOCOL:
                return True
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def never_opened(file: Path, holds_more: bool = False) -> CheckpointError:
    """The error for a pickle, with the two lines that make a safetensors file of one.

    Args:
        file: Where it lies.
        holds_more: Whether it is known to hold more than tensors: a whole network, or a checkpoint's other things.
    """
    behind = ".state_dict()" if holds_more else ""
    read = f"torch.load({str(file)!r}, weights_only={not holds_more}){behind}"
    other = "; for .state_dict() write ['state_dict'] or whatever it is called there" if holds_more else ""
    return CheckpointError(
        f"{file}: {'a pickle of more than tensors' if holds_more else 'a pickle'}, and pickles are never opened: they "
        "can run code. If you trust it, two lines of Python make a safetensors file of it: "
        f"`import torch, safetensors.torch` and "
        f"`safetensors.torch.save_file({read}, {str(file.with_suffix('.safetensors'))!r})`{other}"
    )
