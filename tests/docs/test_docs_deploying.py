"""The page on exported files: its commands can be called so, its Python runs, and it tells of all metadata."""

import re
import shlex
from pathlib import Path

import pytest
import torch
import typer
from PIL import Image
from torch import nn

import payattention as pa
from payattention.cli.app import app
from payattention.exporting.description import description
from payattention.exporting.sides import Sides
from payattention.models import Classifier

TEXT = (Path(__file__).parents[2] / "docs" / "deploying.md").read_text(encoding="utf-8")


def test_its_commands_can_be_called_so() -> None:
    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    commands = re.findall(r"^payattention (\w+)(.*)$", TEXT, re.MULTILINE)
    assert len(commands) == 4
    for verb, rest in commands:
        verbs[verb].make_context(verb, shlex.split(rest))


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    layers = nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    model = pa.wrap(nn.Sequential(*layers), image_size=32)
    monkeypatch.setattr(pa, "load", lambda _: model, raising=False)
    pa.export(model, "photos.pt2")
    Image.new("RGB", (50, 40), "green").save("holiday.jpg")
    scope: dict[str, object] = {"images": torch.rand(2, 3, 32, 32)}
    for example in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(example.replace(".onnx", ".pt2"), scope)  # which takes less time to write
    assert scope["found"]["logits"].shape == (2, 3)  # type: ignore[index]
    assert scope["done"].tried == 1  # type: ignore[attr-defined]


def test_all_that_a_file_says_of_itself_is_described(model: Classifier) -> None:
    described = description(model, Sides(32, 32))
    for key in [*described, *described["input"]]:
        assert f"`{key}`" in TEXT, key
