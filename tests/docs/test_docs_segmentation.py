"""The page on segmentation: its Python runs, its commands exist."""

import re
from pathlib import Path

import pytest

from payattention.cli.app import run
from payattention.data.readers.cluttered_digits import COUNTS
from payattention.models import Classifier

PAGE = Path(__file__).parents[2] / "docs" / "segmentation.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_its_commands_have_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["segment", "--help"]) == 0
    described = capsys.readouterr().out
    for command in re.findall(r"^payattention segment ([^#\n]*)", TEXT, re.MULTILINE):
        for option in re.findall(r"--[\w-]+", command):
            assert f"{option} " in described, option


def test_its_python_runs(model: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COUNTS, "test", 30)
    monkeypatch.setitem(COUNTS, "train", 30)
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    scope: dict[str, object] = {"model": model}
    exec(example, scope)
    assert scope["result"].count == 20
    assert scope["result"].tuned_on == "20 pictures of cluttered_digits, train"
