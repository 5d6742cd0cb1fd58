"""The page on classifiers of one's own: its Python runs, and a pickle becomes a file that can be read."""

import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

PAGE = Path(__file__).parents[2] / "docs" / "your-classifier.md"


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (80, 60), "green").save("cat.jpg")
    weights = {"weight": torch.arange(3.0)}
    torch.save(weights, "old.pt")
    wrapping, converting = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    scope: dict[str, object] = {}
    exec(wrapping, scope)
    assert scope["result"].target == "tabby"
    exec(converting, scope)
    assert torch.equal(load_file("new.safetensors")["weight"], weights["weight"])
