"""What the verb hands to `pa.export`, and how it tells what came of it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import payattention as pa
from payattention.cli.app import run
from payattention.data.readers.cluttered_digits import COUNTS
from payattention.exporting import export as exporting
from payattention.exporting.export import CostOfInt8, Exported
from payattention.exporting.sides import Sides


@pytest.fixture
def handed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `pa.export` is given, which writes nothing here: what it writes is another test's matter."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(COUNTS, "train", 140)
    pa.save(pa.create_model("vgg_att_pc", 10, 0.0625), tmp_path / "photos")
    Image.new("RGB", (40, 50), "green").save("cat.jpg")
    given: dict[str, Any] = {}

    def export(model: object, path: Path, **options: Any) -> Exported:
        given.update(options, path=path)
        cost = None if options["int8"] is None else CostOfInt8(32, 0.96875, 0.987)
        return Exported(
            path, "onnx", ("logits",), Sides(64, 64, 32, 64), 2e-6, len(options["pictures"]), 1_234_567, cost
        )

    monkeypatch.setattr(exporting, "export", export)
    return given


def test_real_photographs_try_the_file_where_none_are_named(
    handed: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", "photos"]) == 0
    assert handed["path"] == Path("photos.onnx")
    assert len(handed["pictures"]) == 3
    assert (handed["pruned"], handed["folded"], handed["int8"], handed["size"]) == (False, False, None, None)
    assert capsys.readouterr().out.splitlines() == [
        "photos.onnx: 1.2 MB, takes any sides from 64 pixels, multiples of 32",
        "gives logits",
        "agrees with the model to 2.0e-06 of each output's greatest value, on random pictures and 3 real ones",
    ]


def test_ranges_of_int8_come_from_training_pictures(handed: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--int8", "--data", "cluttered_digits", "--picture", "cat.jpg", "--out", "small.onnx"]
    assert run(["export", "photos", *options]) == 0
    assert handed["int8"].shape == (128, 3, 32, 32)
    assert handed["int8"].dtype == torch.float32
    assert 0 <= handed["int8"].min() < handed["int8"].max() <= 1
    assert handed["pictures"] == [Path("cat.jpg")]
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "in int8 96.9% of 32 training pictures keep their class, maps share 98.7% of their mass at least"


def test_names_tell_the_kind(handed: dict[str, Any]) -> None:
    assert run(["export", "photos", "--out", "photos.pt2", "--prune", "--fold", "--size", "40"]) == 0
    assert (handed["pruned"], handed["folded"], handed["size"]) == (True, True, 40)
    assert run(["export", "photos", "--to", "torch"]) == 0
    assert handed["path"] == Path("photos.pt2")
