"""Inference in 8-bit whole numbers on a CPU, by ONNX Runtime (the extra `export`).

The network is pruned, folded and exported; ONNX Runtime's static quantisation then gives its convolutions 8-bit weights
(a scale for each channel) and 8-bit activations, whose ranges it takes from images that the caller gives. The first
convolution, the scores, the softmax and the head stay in float32: they cost little and decide much.
"""

import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from payattention.errors import UsageError
from payattention.models import Classifier, Look, fold, prune
from payattention.system.extras import check_there
from payattention.system.files import replacing

if TYPE_CHECKING:
    from onnx import ModelProto

CALIBRATION = 128
"""Images that are enough to take the activations' ranges from."""

_QUANTISED = ("Conv", "Relu", "MaxPool")
_INPUT, _LOGITS = "images", "logits"


def quantised(model: Classifier, images: Tensor) -> "Int8Model":
    """A model's int8 twin for inference on a CPU, with logits and maps.

    Args:
        model: Any network here; it is left as it is.
        images: Training images (n, channels, H, W) with values in [0, 1], from which the ranges of all activations are
            taken; `CALIBRATION` of them are plenty. The twin takes images of their size.

    Raises:
        UsageError: A package of the extra `export` is missing, or no images.
    """
    check_there("int8", "onnx", "onnxruntime", "onnxscript")
    if not len(images):
        raise UsageError("int8 needs images to take the activations' ranges from; got none")
    with tempfile.TemporaryDirectory() as folder:
        exported, prepared, file = (Path(folder) / f"{name}.onnx" for name in ("float", "prepared", "int8"))
        _export(_slim(model), images[:2], exported)
        _quantise(exported, prepared, file, images)
        return Int8Model(file.read_bytes(), model.levels)


class Int8Model:
    """A quantised network: `forward` and `attend` as a `Classifier` has them, on the CPU, without gradients."""

    def __init__(self, network: bytes, levels: tuple[str, ...]) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.network = network
        self.levels = levels
        self.session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])

    def __call__(self, images: Tensor) -> Tensor:
        return self.attend(images).logits

    def attend(self, images: Tensor) -> Look:
        """Logits (n, C) and maps by level (n, h, w) of images (n, channels, H, W) with values in [0, 1]."""
        pixels = np.ascontiguousarray(images.detach().cpu().float().numpy())
        logits, *maps = (torch.from_numpy(output) for output in self.session.run(None, {_INPUT: pixels}))
        return Look(logits=logits, maps=dict(zip(self.levels, maps, strict=True)))

    def save(self, path: str | Path) -> Path:
        """Writes the network as an ONNX file, whole or not at all."""
        with replacing(Path(path)) as partial:
            partial.write_bytes(self.network)
        return Path(path)


class _Outputs(nn.Module):
    """Logits and maps as a tuple, which an exported graph can give."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        look = self.model.attend(images)
        return (look.logits, *(look.maps[name] for name in self.model.levels))


def _slim(model: Classifier) -> Classifier:
    """Without what cannot matter, and without the batch norms that can be folded."""
    if model.dead_parameters():
        model = prune(model)
    try:
        return fold(model)
    except UsageError:  # folded already, or nothing to fold
        return model


class _Maximum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.amax((2, 3), keepdim=True)


def _with_plain_maxima(network: nn.Module) -> nn.Module:
    """A copy whose maxima over all positions are written as such: the exporter of PyTorch 2.9 has no adaptive ones."""
    network = copy.deepcopy(network)
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.AdaptiveMaxPool2d) and module.output_size in (1, (1, 1)):
            network.set_submodule(name, _Maximum())
    return network


def _export(model: Classifier, images: Tensor, file: Path) -> None:
    torch.onnx.export(
        _with_plain_maxima(_Outputs(model)).cpu().float().eval(),
        (images.detach().cpu().float().contiguous(),),
        file,
        input_names=[_INPUT],
        output_names=[_LOGITS, *(f"map_{name}" for name in model.levels)],
        dynamic_shapes=({0: torch.export.Dim("n")},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )


def _quantise(exported: Path, prepared: Path, file: Path, images: Tensor) -> None:
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(exported, prepared, skip_symbolic_shape=True)
    quantization.quantize_static(
        prepared,
        file,
        _reader(images),
        op_types_to_quantize=list(_QUANTISED),
        nodes_to_exclude=_delicate(onnx.load(prepared), images.shape[1]),
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        per_channel=True,
        reduce_range=not multiplies_in_int8(),
        extra_options={"CalibMovingAverage": True},
    )


def _delicate(network: "ModelProto", channels: int) -> list[str]:
    """Convolutions that stay in float32: the first, which sees the images' channels, and the scores, which give 1."""
    weights = {tensor.name: tensor.dims for tensor in network.graph.initializer}
    shapes = {node.name: weights.get(node.input[1]) for node in network.graph.node if node.op_type == "Conv"}
    return [name for name, shape in shapes.items() if shape is None or shape[0] == 1 or shape[1] == channels]


def _reader(images: Tensor, batch_size: int = 16) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches: Iterator[Tensor] = iter(images.detach().cpu().float().contiguous().split(batch_size))

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self.batches, None)
            return None if batch is None else {_INPUT: batch.numpy()}

    return Reader()


def multiplies_in_int8() -> bool:
    """Whether the processor has dot products of bytes (VNNI, AMX, or Arm's).

    Without them pairs of products are added in 16 bits, so weights are held to 7 bits, and an int8 product costs half
    a float32 one instead of a quarter.
    """
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return False
    return bool(words & {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})
