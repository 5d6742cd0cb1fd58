"""Inference in 8-bit whole numbers on a CPU, by ONNX Runtime (the extra `export`).

The network is pruned, folded and exported; ONNX Runtime's static quantisation then gives its convolutions 8-bit weights
(a scale for each channel) and 8-bit activations, whose ranges it takes from images that the caller gives. The first
convolution, the scores, the softmax and the head stay in float32: they cost little and decide much.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from payattention.errors import UsageError
from payattention.exporting.capture import captured
from payattention.exporting.description import KEY, as_text, description
from payattention.exporting.onnx import OnnxModel, write_onnx
from payattention.exporting.outputs import INPUT, outputs_of, slim
from payattention.exporting.sides import Sides
from payattention.models import Classifier
from payattention.system.extras import check_there

if TYPE_CHECKING:
    from onnx import ModelProto

CALIBRATION = 128
"""Images that are enough to take the activations' ranges from."""

INT8 = "int8"
_QUANTISED = ("Conv", "Relu", "MaxPool")


def check_calibration(images: Tensor) -> None:
    """Raises UsageError for images that no ranges can be taken from."""
    if not len(images):
        raise UsageError("int8 needs images to take the activations' ranges from; got none")


def quantised(model: Classifier, images: Tensor) -> OnnxModel:
    """A model's int8 twin for inference on a CPU, with logits and maps.

    Args:
        model: Any network here; it is left as it is.
        images: Training images (n, channels, H, W) with values in [0, 1], from which the ranges of all activations are
            taken; `CALIBRATION` of them are plenty. The twin takes images of their size.

    Raises:
        UsageError: A package of the extra `export` is missing, or no images.
    """
    check_there(INT8, "onnx", "onnxruntime", "onnxscript")
    check_calibration(images)
    outputs = outputs_of(slim(model, pruned=True, folded=True))
    sides = Sides(*images.shape[2:])
    with tempfile.TemporaryDirectory() as folder:
        exported, file = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        described = description(model, sides)
        write_onnx(captured(outputs, sides), described, exported)
        quantise(exported, file, images, described)
        return OnnxModel(file.read_bytes())


def quantise(exported: Path, file: Path, images: Tensor, described: dict[str, Any]) -> None:
    """Makes an int8 file of one in float32.

    Args:
        exported: That one.
        file: Where to.
        images: As `quantised` takes them.
        described: What the file in float32 says of itself.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = file.with_suffix(".prepared.onnx")
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
    network = onnx.load(file)
    onnx.helper.set_model_props(network, {KEY: as_text({**described, "precision": INT8})})
    onnx.save(network, file)


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
            return None if batch is None else {INPUT: batch.numpy()}

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
