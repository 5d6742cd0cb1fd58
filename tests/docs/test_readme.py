"""The README tells the truth."""

import re
from pathlib import Path

import pytest
import typer
from PIL import Image

import payattention as pa
from payattention.models import Classifier

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Classifier) -> None:
    monkeypatch.chdir(tmp_path)
    pa.save(model, "runs/quickstart")
    Image.new("RGB", (40, 40), "green").save("cat.jpg")
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    scope: dict[str, object] = {}
    exec(example, scope)
    assert scope["logits"].shape == (8, 10)
    assert scope["look"].maps["layer10"].shape == (8, 16, 16)
    assert (tmp_path / "out" / "cat.sheet.png").is_file()


def test_its_commands_can_be_called_so() -> None:
    from payattention.cli.app import app

    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    commands = re.findall(r"^payattention (\w+)([^#\n]*)", TEXT, re.MULTILINE)
    assert len(commands) > 10
    for verb, rest in commands:
        verbs[verb].make_context(verb, rest.split())
