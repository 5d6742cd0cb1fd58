"""The page on predicting: its commands run, one after the other, and so does its Python."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from blocks import commands, to_run
from PIL import Image

from payattention.cli.app import run
from payattention.evaluation import calibration

PAGE = "docs/predicting.md"
TINY = "--model vgg_gap --width 0.0625 --epochs 1 --recipe-set batch_size=2"


def test_its_commands_and_its_python_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(calibration, "best_temperature", lambda logits, labels: 2.0)  # of two noisy pictures
    for k, folder in enumerate([*("photos", "more_photos") * 10, "more_pictures"]):
        file = Path(folder, ("sea", "beach")[k // 2 % 2], f"{k}.jpg")
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(k).integers(0, 256, (32, 40, 3), dtype=np.uint8)).save(file)
    Image.new("RGB", (40, 40), "green").save("holiday.jpg")
    (training,) = (command for command in commands(PAGE) if command[0] == "train")
    rest = [word.replace("0.1", "0.25") for word in training[training.index("--data") :]]
    assert run(["train", *TINY.split(), *rest]) == 0
    assert len(commands(PAGE)) == 8
    for command in commands(PAGE):
        if command == training:
            continue
        listed = "\0".join(map(str, Path("more_pictures").rglob("*.jpg")))
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(listed.encode())))
        assert run(command) == 0, command
    assert {file.name for file in Path("measured").iterdir()} > {"confusion.png", "predictions.csv", "result.json"}
    assert Path("listed.csv").read_text().count("\n") == 2
    (example,) = to_run(PAGE, "python")
    scope: dict[str, object] = {"images": torch.rand(2, 3, 32, 32)}
    exec(example, scope)
    assert scope["model"].temperature == 2.0  # type: ignore[attr-defined]
