"""The page on galleries: its Python runs."""

from pathlib import Path

import numpy as np
import pytest
from blocks import to_run
from PIL import Image

PAGE = "docs/gallery.md"


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = to_run(PAGE, "python")
    exec(code, {"looked_at": [("a.jpg", Image.new("RGB", (40, 30)), np.eye(3, dtype=np.float32))]})
    assert "a.jpg" in Path("mine.html").read_text(encoding="utf-8")
