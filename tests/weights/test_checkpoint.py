"""Saving and loading: what is kept, and what is refused."""

import copy
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import torch.nn.utils.prune
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

import payattention as pa
from payattention.errors import CheckpointError, UsageError
from payattention.models import Classifier
from payattention.weights.header import keep_temperature


def test_everything_a_model_was_trained_with_comes_back(model: Classifier, tmp_path: Path) -> None:
    model.preprocessing.mean.fill_(0.3)
    model.image_size, model.crop_mode, model.temperature = 48, "squash", 1.25
    loaded = pa.load(pa.save(model, tmp_path / "model.safetensors"))
    assert loaded.classes == model.classes
    assert (loaded.image_size, loaded.crop_mode, loaded.temperature) == (48, "squash", 1.25)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=0, atol=0)


def test_a_temperature_is_written_into_a_file_and_its_tensors_stay_as_they_are(
    model: Classifier, tmp_path: Path
) -> None:
    file = pa.save(model, tmp_path, dtype=torch.float16)
    before = load_file(file)
    assert keep_temperature(tmp_path, 0.52) == file
    assert (pa.load(tmp_path).temperature, pa.load(tmp_path).classes) == (0.52, model.classes)
    after = load_file(file)
    assert all(after[name].dtype == before[name].dtype and torch.equal(after[name], before[name]) for name in before)
    assert int.from_bytes(file.read_bytes()[:8], "little") % 8 == 0


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


def test_a_failed_save_leaves_the_old_file_and_no_other(
    model: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = pa.save(model, tmp_path)
    before = file.read_bytes()
    model.image_size = 48

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("payattention.weights.checkpoint.save_file", full)
    with pytest.raises(OSError, match="No space left"):
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
        ({"width": "wide"}, "in its configuration, width is 'wide': a number is needed"),
        ({"num_classes": True}, "in its configuration, num_classes is True: a whole number is needed"),
        ({"num_classes": 1}, "in its configuration, num_classes is 1: it lies between 2 and 10,000,000"),
        ({"num_classes": 1_000_000, "classes": []}, "2 of another shape"),
        ({"width": 1e9}, "in its configuration, width is 1000000000.0: it is above 0 and at most 100"),
        ({"width": 9.0}, "describes no network here"),
        ({"classes": "abc"}, "in its configuration, classes is 'abc': a list is needed"),
        ({"image_size": 8}, "describes no network here .the images are 8x8"),
        ({"image_size": 10**9}, "image_size is 1000000000: it lies between 1 and 10,000"),
        ({"crop_mode": "round"}, "in its configuration, unknown crop_mode 'round'; there are: center, squash"),
        ({"options": {"head": ["a"]}}, "options.head is \\['a'\\]: it takes text, a number"),
        ({"pruned": "yes"}, "in its configuration, pruned is 'yes': true or false is needed"),
        ({"folded": True}, "unexpected .trunk"),
        (
            {"name": "timm:vit_giant_patch14_dinov2", "width": 1, "options": {}},
            "weights of another network than timm:vit_giant",
        ),
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


def test_what_a_header_lacks_is_named(model: Classifier, tmp_path: Path) -> None:
    file = pa.save(model, tmp_path)
    header = json.loads(header_of(file)["payattention"])
    del header["classes"]
    save_file(load_file(file), file, metadata={"payattention": json.dumps(header)})
    with pytest.raises(CheckpointError, match="in its configuration, classes is missing"):
        pa.load(file)


def test_headers_of_early_versions_are_read(model: Classifier, tmp_path: Path) -> None:
    file = pa.save(model, tmp_path)
    header = json.loads(header_of(file)["payattention"])
    early = {name: header[name] for name in ("name", "num_classes", "width", "options", "classes", "image_size")}
    save_file(load_file(file), file, metadata={"payattention": json.dumps(early)})
    assert (pa.load(file).crop_mode, pa.load(file).temperature) == ("center", 1.0)


WRAPPERS: dict[str, Callable[[Classifier], nn.Module]] = {
    "compiled": torch.compile,
    "data parallel": nn.DataParallel,
    "averaged": AveragedModel,
    "averaged and compiled": lambda model: torch.compile(AveragedModel(model)),
    "compiled trunk": lambda model: _with_trunk(model, torch.compile(model.trunk)),
    "parallel trunk": lambda model: _with_trunk(model, nn.DataParallel(model.trunk)),
}


def _with_trunk(model: Classifier, trunk: nn.Module) -> Classifier:
    model.trunk = trunk
    return model


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_what_wraps_a_model_is_not_saved(wrapper: str, model: Classifier, tmp_path: Path) -> None:
    state = copy.deepcopy(model.state_dict())
    loaded = pa.load(pa.save(WRAPPERS[wrapper](model), tmp_path))
    assert loaded.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.state_dict().items())


def _pruned_by_torch(model: Classifier) -> None:
    torch.nn.utils.prune.l1_unstructured(model.head.classifier, "weight", 0.5)


CHANGES: dict[str, tuple[Callable[[Classifier], object], str]] = {
    "another head": (
        lambda m: setattr(m.head, "classifier", nn.Linear(64, 5)),
        r"2 of another shape \(head.classifier.bias, head.classifier.weight\)",
    ),
    "no head": (lambda m: setattr(m.head, "classifier", nn.Identity()), r"2 missing \(head.classifier.bias"),
    "one more": (lambda m: m.add_module("extra", nn.Linear(2, 2)), r"2 unexpected \(extra.bias, extra.weight\)"),
    "parametrised": (
        lambda m: nn.utils.parametrizations.weight_norm(m.head.classifier),
        r"1 missing \(head.classifier.weight\).*remove_parametrizations",
    ),
    "pruned": (_pruned_by_torch, r"unexpected \(head.classifier.weight_mask, .*torch.nn.utils.prune.remove"),
    "another activation": (
        lambda m: setattr(m.trunk.layers.conv1, "relu", nn.GELU()),
        r"1 layers \(trunk.layers.conv1.relu: GELU for ReLU\)",
    ),
    "other pixels": (lambda m: setattr(m, "preprocessing", nn.Identity()), r"2 missing \(preprocessing.mean"),
    "too few classes": (lambda m: setattr(m, "classes", ("a", "b")), "2 class names for 3 classes"),
    "classes in one text": (lambda m: setattr(m, "classes", "abc"), "classes is 'abc': a list is needed"),
    "numbers for classes": (lambda m: setattr(m, "classes", (1, 2, 3)), "classes.0 is 1: text is needed"),
    "a size of another kind": (
        lambda m: setattr(m, "image_size", 48.0),
        "image_size is 48.0: a whole number is needed",
    ),
    "a size too small": (lambda m: setattr(m, "image_size", 8), "the images are 8x8"),
    "a crop of one's own": (lambda m: setattr(m, "crop_mode", "round"), "unknown crop_mode 'round'"),
    "no configuration": (lambda m: delattr(m, "config"), "composed by hand"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_load_would_refuse_is_not_saved(change: str, model: Classifier, tmp_path: Path) -> None:
    changed, message = CHANGES[change]
    changed(model)
    with pytest.raises(UsageError, match=message) as error:
        pa.save(model, tmp_path / "new")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "new").exists()


def test_a_strangers_model_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot save a Linear"):
        pa.save(nn.Linear(2, 2), tmp_path)


@pytest.mark.parametrize(
    "made",
    [
        {"img_size": 96},
        {"img_size": 96, "dynamic_img_size": False},
        {"dynamic_img_size": False},
        {"drop_path_rate": 0.1},
    ],
    ids=str,
)
def test_how_timm_built_a_backbone_is_kept(made: dict[str, object], tmp_path: Path) -> None:
    model = pa.attach(timm.create_model("test_vit", **made), 3).eval()
    loaded = pa.load(pa.save(model, tmp_path))
    assert loaded.image_size == model.image_size == made.get("img_size", 160)
    for side in (96, 160):
        images = torch.rand(1, 3, side, side)
        torch.testing.assert_close(loaded(images), model(images))
    assert repr(loaded) == repr(model)
