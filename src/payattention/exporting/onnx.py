"""ONNX files, and what runs them: ONNX Runtime on the CPU (the extra `export`)."""

import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from payattention.errors import PayAttentionError
from payattention.exporting.description import KEY, as_text
from payattention.exporting.outputs import INPUT, LOGITS, names_of
from payattention.models import Look
from payattention.system.files import replacing
from payattention.system.text import first_line

if TYPE_CHECKING:
    from torch.export import ExportedProgram

# before it is imported, or it keeps a device's number, and tells its makers what it runs
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def write_onnx(program: "ExportedProgram", described: dict[str, Any], file: Path) -> None:
    """Writes a graph as an ONNX file.

    Raises:
        PayAttentionError: It has an operation that ONNX lacks.
    """
    names = names_of(list(described["maps"].values()))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = torch.onnx.export(
                program, input_names=[INPUT], output_names=names, dynamo=True, external_data=False, verbose=False
            )
            assert made is not None
            made.model.metadata_props[KEY] = as_text(described)
            made.save(file, external_data=False)
    except Exception as error:  # of many kinds
        raise PayAttentionError(
            f"{described['model']} cannot be exported: ONNX cannot say what it computes ({first_line(error)})"
        ) from None


class OnnxModel:
    """An exported file in ONNX Runtime: `forward` and `attend` as a `Classifier` has them, on the CPU, no gradients.

    Attributes:
        description: What the file says of itself (`payattention.exporting.description`).
        levels: Names of the maps that `attend` gives.
    """

    def __init__(self, network: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        self.network = network
        self.session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        self.description: dict[str, Any] = json.loads(self.session.get_modelmeta().custom_metadata_map[KEY])
        self.levels: tuple[str, ...] = tuple(self.description["maps"].values())

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """All that the file gives, by name."""
        pixels = np.ascontiguousarray(images.detach().cpu().float().numpy())
        names = names_of(self.levels)
        return dict(zip(names, map(torch.from_numpy, self.session.run(names, {INPUT: pixels})), strict=True))

    def __call__(self, images: Tensor) -> Tensor:
        return self.outputs(images)[LOGITS]

    def attend(self, images: Tensor) -> Look:
        """Logits (n, C) and maps by level (n, h, w) of images (n, channels, H, W) with values in [0, 1]."""
        found = self.outputs(images)
        return Look(logits=found[LOGITS], maps={level: found[name] for name, level in self.description["maps"].items()})

    def save(self, path: str | Path) -> Path:
        """Writes the network as an ONNX file, whole or not at all."""
        with replacing(Path(path)) as partial:
            partial.write_bytes(self.network)
        return Path(path)
