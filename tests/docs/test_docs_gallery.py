"""The page on galleries: its Python runs, and its commands are understood."""

import re
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from payattention.cli.app import app

TEXT = (Path(__file__).parents[2] / "docs" / "gallery.md").read_text(encoding="utf-8")


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(code, {"looked_at": [("a.jpg", Image.new("RGB", (40, 30)), np.eye(3, dtype=np.float32))]})
    assert "a.jpg" in Path("mine.html").read_text(encoding="utf-8")


def test_its_commands_can_be_called_so() -> None:
    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    commands = re.findall(r"^payattention (\w+)([^#\n]*)", TEXT, re.MULTILINE)
    assert len(commands) == 2
    for verb, rest in commands:
        verbs[verb].make_context(verb, rest.split())
