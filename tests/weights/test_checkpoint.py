"""Saving and loading: what is kept, and what is refused."""

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import payattention as pa
from payattention.errors import CheckpointError, UsageError
from payattention.models import Classifier


def test_everything_a_model_was_trained_with_comes_back(model: Classifier, tmp_path: Path) -> None:
    model.preprocessing.mean.fill_(0.3)
    model.image_size, model.crop_mode = 48, "squash"
    loaded = pa.load(pa.save(model, tmp_path / "model.safetensors"))
    assert loaded.classes == model.classes
    assert (loaded.image_size, loaded.crop_mode) == (48, "squash")
    for name, value in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=0, atol=0)


def test_half_precision_halves_the_file_and_comes_back_rounded(model: Classifier, tmp_path: Path) -> None:
    whole, half = pa.save(model, tmp_path / "whole"), pa.save(model, tmp_path / "half", dtype=torch.float16)
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    loaded = pa.load(half)
    for name, tensor in model.state_dict().items():
        expected = tensor.half().float() if tensor.is_floating_point() else tensor
        assert torch.equal(loaded.state_dict()[name], expected)


def test_weights_beyond_half_precision_are_refused(model: Classifier, tmp_path: Path) -> None:
    model.get_buffer("trunk.layers.conv1.norm.running_var")[0] = 1e5
    with pytest.raises(UsageError, match=r"conv1\.norm\.running_var .*float16; save .* bfloat16"):
        pa.save(model, tmp_path / "half", dtype=torch.float16)
    assert not (tmp_path / "half").exists()
    pa.save(model, tmp_path / "half", dtype=torch.bfloat16)


def test_a_failed_save_leaves_the_old_file_and_no_other(model: Classifier, tmp_path: Path) -> None:
    file = pa.save(model, tmp_path)
    before = file.read_bytes()
    model.image_size = object()  # cannot be written as JSON
    with pytest.raises(TypeError):
        pa.save(model, tmp_path)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_weights_of_another_network_are_refused(model: Classifier, tmp_path: Path) -> None:
    file = pa.save(model, tmp_path)
    tensors = load_file(file)
    tensors["head.classifier.weight"] = torch.zeros(7, 7)
    tensors["other"] = tensors.pop("head.classifier.bias")
    save_file(tensors, file, metadata=header_of(file))
    with pytest.raises(CheckpointError, match="another network than vgg_att2_concat_pc") as error:
        pa.load(file)
    assert "1 missing (head.classifier.bias)" in str(error.value)
    assert "1 unexpected (other)" in str(error.value)
    assert "1 of another shape (head.classifier.weight)" in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.safetensors", b"", "damaged or not a safetensors file"),
        ("model.safetensors", b"\x80\x04 not safetensors", "damaged or not a safetensors file"),
        ("model.pt", pickle.dumps({"a": 1}), "pickles are never opened"),
    ],
)
def test_other_files_are_refused(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        pa.load(tmp_path / name)


def test_a_folder_without_weights_and_a_stranger_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no model.safetensors in this folder"):
        pa.load(tmp_path)
    with pytest.raises(CheckpointError, match="no such run folder or file"):
        pa.load(tmp_path / "nowhere")
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="no payattention configuration in its header"):
        pa.load(tmp_path)


def header_of(file: Path) -> dict[str, str]:
    with safe_open(file, "pt") as opened:
        return opened.metadata()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": "wide"}, "describes no network here"),
        ({"name": "vgg_att9"}, "describes no network here"),
        ({"classes": ["one"]}, "1 class names for 3 classes"),
        (None, "the configuration in its header is damaged"),
    ],
)
def test_a_damaged_configuration_is_refused(
    change: dict[str, object] | None, message: str, model: Classifier, tmp_path: Path
) -> None:
    file = pa.save(model, tmp_path)
    header = json.loads(header_of(file)["payattention"])
    written = "{" if change is None else json.dumps(header | change)
    save_file(load_file(file), file, metadata={"payattention": written})
    with pytest.raises(CheckpointError, match=message):
        pa.load(file)


def test_loading_leaves_the_callers_random_numbers_alone(model: Classifier, tmp_path: Path) -> None:
    file = pa.save(model, tmp_path)
    before = torch.get_rng_state()
    pa.load(file)
    assert torch.equal(torch.get_rng_state(), before)


def test_others_may_read_the_weights(model: Classifier, tmp_path: Path) -> None:
    assert pa.save(model, tmp_path).stat().st_mode & 0o777 == 0o666 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
