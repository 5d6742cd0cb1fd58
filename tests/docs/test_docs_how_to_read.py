"""The page on reading maps: its commands and its Python run, and its numbers are those of the code."""

from pathlib import Path

import numpy as np
import pytest
from blocks import ROOT, commands, to_run
from PIL import Image

import payattention as pa
from payattention.attention.maps import FLAT
from payattention.cli.app import run
from payattention.explaining.levels import APART

PAGE = "docs/how-to-read-a-map.md"
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")
COMMANDS = commands(PAGE)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run and the pictures that the page names."""
    place = tmp_path_factory.mktemp("page")
    model = pa.create_model("vgg_att2_concat_pc", 10, 0.0625).eval()
    model.classes = tuple("0123456789")
    pa.save(model, place / "runs" / "quickstart")
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    for name in ("photos/7/1.png", "PICTURES/a.png"):
        (place / name).parent.mkdir(parents=True)
        Image.fromarray(pixels).save(place / name)
    return place


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_its_commands_run(command: list[str], place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    assert run(command) == 0


def test_its_python_runs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    (example,) = to_run(PAGE, "python")
    scope: dict[str, object] = {}
    exec(example, scope)
    assert scope["seen"].true_class == "7"


def test_it_names_the_bounds_that_the_notes_have() -> None:
    assert FLAT == 0.1
    assert "less\nthan a tenth of the greatest" in TEXT
    assert APART == 0.2
    assert "share less than a fifth of their mass" in TEXT


def test_it_names_every_option_of_looking() -> None:
    assert len(COMMANDS) == 4
    for option in ("--method", "--target", "--style", "--scale", "--only", "--format", "--flat"):
        assert f"| `{option}` |" in TEXT
