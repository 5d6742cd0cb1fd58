"""Files of PyTorch itself, which run without this package: `torch.export.load(file).module()(images)["logits"]`."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from payattention.errors import PayAttentionError
from payattention.exporting.description import KEY, as_text
from payattention.system.text import first_line

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

DESCRIPTION = f"{KEY}.json"
"""The file within the file that holds the description."""


def write_program(program: "ExportedProgram", described: dict[str, Any], file: Path) -> None:
    """Writes a graph as PyTorch keeps it.

    Raises:
        PayAttentionError: It has something that PyTorch cannot keep.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.export.save(program, file, extra_files={DESCRIPTION: as_text(described)})
    except Exception as error:  # of many kinds
        raise PayAttentionError(
            f"{described['model']} cannot be exported: PyTorch cannot keep its graph ({first_line(error)})"
        ) from None


def read_program(file: Path) -> "nn.Module":
    """What a file runs as."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.load(file).module()
