"""The int8 twin is the same network, in bytes."""

from pathlib import Path
from typing import Any

import pytest
import torch

import payattention as pa
from payattention.errors import PayAttentionError
from payattention.evaluation.query import total_variation
from payattention.exporting.int8 import quantised
from payattention.exporting.onnx import OnnxModel
from payattention.models import create_model, resnet
from settling import settled

SMALL = 0.0625


@pytest.mark.parametrize("name", ["vgg_att3_concat_pc", "vgg_pan", "resnet164_att2_concat_pc", "vgg"])
def test_int8_is_the_same_network(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(resnet, "_BLOCKS", 2)  # of 18: that many untrained ones multiply int8's rounding
    model = settled(create_model(name, 3, 0.125))
    images = torch.rand(24, 3, 32, 32)
    done = pa.export(model, tmp_path / "twin.onnx", int8=images[:16])  # held against the model before it is rounded
    assert done.int8 is not None
    assert done.int8.images == 16
    assert done.int8.overlap_of_maps is None or done.int8.overlap_of_maps > 0.95
    twin = OnnxModel(done.path.read_bytes())
    assert twin.description["precision"] == "int8"
    look = twin.attend(images)  # of another number than it was made with
    with torch.no_grad():
        truth = model.attend(images)
    assert (look.logits - truth.logits).abs().mean() < 0.15 * truth.logits.std()
    torch.testing.assert_close(twin(images), look.logits)
    assert tuple(look.maps) == model.levels
    for level in model.levels:
        assert total_variation(look.maps[level], truth.maps[level]).mean() < 0.05


def test_int8_weights_are_bytes(tmp_path: Any) -> None:
    onnx = pytest.importorskip("onnx")
    model = settled(create_model("vgg_att_pc", 3, 0.125))
    twin = quantised(model, torch.rand(4, 3, 32, 32))
    network = onnx.load(twin.save(tmp_path / "twin.onnx"))
    kinds = [tensor.data_type for tensor in network.graph.initializer if len(tensor.dims) == 4]
    assert kinds.count(onnx.TensorProto.INT8) == 12  # conv2 ... conv13; the dead global branch is gone
    assert kinds.count(onnx.TensorProto.FLOAT) == 2  # conv1 and u


def test_int8_without_its_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(PayAttentionError, match=r"pip install 'payattention\[export\]'"):
        quantised(create_model("vgg_att_pc", 3, SMALL), torch.rand(2, 3, 32, 32))
