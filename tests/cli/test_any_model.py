"""Every verb that needs no trained attention takes a network of timm, of torchvision, and of a user's script."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision import models

from payattention.cli.app import run
from payattention.data.readers.cluttered_digits import COUNTS

SCRIPT = """
import payattention as pa
from torch import nn


def make_model():
    layers = nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)
    return pa.wrap(nn.Sequential(*layers), image_size=64)
"""
MODELS = {
    "timm": ["timm:test_resnet", "--weights", "timm.safetensors", "--class-names", "names.txt"],
    "torchvision": ["torchvision:squeezenet1_1", "--weights", "torchvision.pth", "--class-names", "names.txt"],
    "script": ["net.py:make_model"],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weights, the script, the class names and a picture."""
    folder = tmp_path_factory.mktemp("any_model")
    torch.manual_seed(0)
    save_file(timm.create_model("test_resnet", num_classes=10).state_dict(), folder / "timm.safetensors")
    torch.save(models.squeezenet1_1(num_classes=10).state_dict(), folder / "torchvision.pth")
    (folder / "net.py").write_text(SCRIPT)
    (folder / "names.txt").write_text("\n".join(map(str, range(10))) + "\n")
    Image.new("RGB", (80, 60), "green").save(folder / "cat.jpg")
    return folder


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest, place: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(place)
    monkeypatch.setitem(COUNTS, "test", 40)
    return MODELS[request.param]


Result = Callable[..., dict]


@pytest.fixture
def result(model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Result:
    """Runs a verb on the model, and gives its JSON."""

    def ran(verb: str, *options: str, out: bool = True) -> dict:
        name, *own = model
        writing = ["--out", str(tmp_path / "out")] if out else []
        assert run([verb, name, *options, *own, *writing, "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return ran


DATA = ("--data", "cluttered_digits")


def test_maps(model: list[str], result: Result, tmp_path: Path) -> None:
    manifest = result("maps", "cat.jpg")
    assert manifest["model"] == model[0]
    assert manifest["pictures"][0]["label"] in map(str, range(10))
    assert (tmp_path / "out" / manifest["sheets"][0]).is_file()


def test_predict(model: list[str], result: Result) -> None:
    found = result("predict", "cat.jpg", "--top", "2", out=False)
    assert found["model"] == model[0]
    assert len(found["predictions"]) == 1


def test_a_page_of_maps(result: Result, tmp_path: Path) -> None:
    result("maps", "cat.jpg", "--html", str(tmp_path / "page.html"), out=False)
    assert "Grad-CAM" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_evaluate(result: Result) -> None:
    found = result("evaluate", *DATA, "--limit", "10")
    assert found["count"] == 10
    assert 0 <= found["error"] <= 100


def test_attack(result: Result, tmp_path: Path) -> None:
    found = result("attack", *DATA, "--limit", "4", "--eps", "4", "--pictures", "1")
    assert {row["attack"] for row in found["attacks"]} == {"noise", "fgsm"}
    with Image.open(tmp_path / "out" / "attack.png") as sheet:
        assert sheet.height > 300  # a row of the picture, and one of where the model looks


def test_transfer(result: Result) -> None:
    found = result("transfer", *DATA, "--split", "test", "--classes", "0,1,2", "--folds", "2", out=False)
    assert found["dimension"] in (8, 64, 96, 512)
    assert len(found["folds"]) == 2


def test_segment(model: list[str], result: Result, tmp_path: Path) -> None:
    of_class = ["--true-class"] if "--class-names" in model else []  # others know their classes by number
    found = result("segment", *DATA, "--limit", "2", "--tune", "0", *of_class)
    assert next(iter(found["maps"])) == "combined"
    assert found["count"] == 2
    assert (tmp_path / "out" / "sheet.png").is_file()


@pytest.mark.parametrize("model", ["script"], indirect=True)
def test_compare(result: Result) -> None:
    found = result("compare", *DATA, "--limit", "2", "--costly", "2", "--methods", "grad_cam")
    assert {row["kind"] for row in found["rows"]} == {"post-hoc", "trivial"}
