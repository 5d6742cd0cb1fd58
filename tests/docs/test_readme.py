"""The README tells the truth."""

from pathlib import Path

import pytest
from blocks import to_run
from PIL import Image

import payattention as pa
from payattention.models import Classifier


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Classifier) -> None:
    monkeypatch.chdir(tmp_path)
    pa.save(model, "runs/quickstart")
    Image.new("RGB", (40, 40), "green").save("cat.jpg")
    (example,) = to_run("README.md", "python")
    scope: dict[str, object] = {}
    exec(example, scope)
    assert scope["logits"].shape == (8, 10)
    assert scope["look"].maps["layer10"].shape == (8, 16, 16)
    assert (tmp_path / "out" / "cat.sheet.png").is_file()
