"""The page on exported files: its Python runs, and it tells of all metadata."""

from pathlib import Path

import pytest
import torch
from blocks import ROOT, to_run
from PIL import Image
from torch import nn

import payattention as pa
from payattention.exporting.description import description
from payattention.exporting.sides import Sides
from payattention.models import Classifier

PAGE = "docs/deploying.md"
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    layers = nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    model = pa.wrap(nn.Sequential(*layers), image_size=32)
    monkeypatch.setattr(pa, "load", lambda _: model, raising=False)
    pa.export(model, "photos.pt2")
    Image.new("RGB", (50, 40), "green").save("holiday.jpg")
    scope: dict[str, object] = {"images": torch.rand(2, 3, 32, 32)}
    for example in to_run(PAGE, "python"):
        exec(example.replace(".onnx", ".pt2"), scope)  # which takes less time to write
    assert scope["found"]["logits"].shape == (2, 3)  # type: ignore[index]
    assert scope["done"].tried == 1  # type: ignore[attr-defined]


def test_all_that_a_file_says_of_itself_is_described(model: Classifier) -> None:
    described = description(model, Sides(32, 32))
    for key in [*described, *described["input"]]:
        assert f"`{key}`" in TEXT, key
