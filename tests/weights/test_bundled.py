"""The models that come with the package: they are what their cards say, and are had by name."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

import payattention as pa
from payattention.errors import CheckpointError, UsageError
from payattention.system import extras
from payattention.weights import bundled
from payattention.weights.named import Bundled, SavedModel, named

SMALL = bundled.DEFAULTS[-1]
every_model = pytest.mark.parametrize("name", bundled.bundled())


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small one's two files, to be changed."""
    for suffix in (".safetensors", ".json"):
        shutil.copy(bundled.FOLDER / f"{SMALL}{suffix}", tmp_path)
    monkeypatch.setattr(bundled, "FOLDER", tmp_path)
    return tmp_path


@every_model
def test_a_card_is_that_of_its_weights(name: str) -> None:
    card, file = bundled.card(name), bundled.FOLDER / f"{name}.safetensors"
    assert card.name == name
    assert card.size == file.stat().st_size
    assert card.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert card.error == card.measured["test"]["error"]
    assert card.trained["data"]["measured_on"] == "test"
    assert card.trained["provenance"]["command"].startswith("payattention train ")
    assert card.licence.keys() == {"weights", "pictures", "citation"}


def test_all_together_are_small() -> None:
    assert sum(file.stat().st_size for file in bundled.FOLDER.iterdir() if file.is_file()) <= 6e6


def test_the_last_default_needs_nothing() -> None:
    assert set(bundled.DEFAULTS) <= set(bundled.bundled())
    assert bundled.card(bundled.DEFAULTS[-1]).needs is None


@every_model
def test_it_is_loaded_by_name(name: str) -> None:
    if bundled.card(name).lacks:
        pytest.skip(str(bundled.card(name).lacks))
    model = pa.load(name)
    assert not model.training
    assert len(model.classes) == model.num_classes
    assert model.levels


def test_the_list() -> None:
    assert pa.list_models(pretrained=True) == bundled.bundled()
    assert pa.list_models("vgg*", pretrained=True) == [SMALL]
    assert SMALL not in pa.list_models()


def test_the_default_is_the_first_whose_package_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda module: object())
    assert bundled.default() == bundled.DEFAULTS[0]
    monkeypatch.setattr(extras, "find_spec", lambda module: None)
    assert bundled.default() == SMALL
    assert named(None).text == SMALL
    assert pa.load().name == "vgg_att2_concat_pc"
    with pytest.raises(
        CheckpointError, match=r"caltech101 needs the package .*: pip install 'payattention\[imagenet\]'"
    ):
        pa.load(bundled.DEFAULTS[0])


def test_a_file_or_folder_of_its_name_is_taken_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(named(SMALL), Bundled)
    Path(SMALL).mkdir()
    assert type(named(SMALL)) is SavedModel


def test_it_is_no_run() -> None:
    with pytest.raises(UsageError, match="which comes with payattention, has no run folder"):
        _ = named(SMALL).run


def test_a_name_that_is_nearly_right() -> None:
    for name in ("vgg_att2_concat_pc.cifar100", "cifar10", "vgg_att2"):
        with pytest.raises(UsageError, match=f"did you mean {SMALL}"):
            named(name)
    with pytest.raises(UsageError, match=r"me/photos: no such run folder or file; did you mean hf-hub:me/photos\?"):
        named("me/photos")
    assert isinstance(named("runs/photos"), SavedModel)
    with pytest.raises(UsageError, match="no model is named"):
        named("")


def test_damaged_weights_are_not_loaded(copy: Path) -> None:
    file = copy / f"{SMALL}.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(
        CheckpointError, match=r"cifar10\.safetensors: damaged, its checksum is not the one on its card"
    ):
        pa.load(SMALL)


def test_weights_that_are_gone_are_told(copy: Path) -> None:
    (copy / f"{SMALL}.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"cifar10\.safetensors: missing; install payattention again"):
        pa.load(SMALL)


@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_a_damaged_card_is_told(copy: Path, damage: str) -> None:
    file = copy / f"{SMALL}.json"
    text = file.read_text(encoding="utf-8")
    file.unlink()
    if damage != "missing":
        file.write_text(text[:99] if damage == "cut" else json.dumps({"name": SMALL}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"cifar10\.json: missing or damaged; install payattention again"):
        pa.load(SMALL)
