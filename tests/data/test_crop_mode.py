"""How pictures became squares in training travels with the model, and every verb reads other sets alike."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import payattention as pa
from payattention.cli.app import run
from payattention.data.places import cache_root
from settling import settled


@pytest.fixture(autouse=True)
def _long_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`long`: in both splits, two classes of four pictures of 60x20, grey but for the left end."""
    monkeypatch.chdir(tmp_path)
    for k in range(16):
        path = Path("long", ("train", "test")[k // 8], ("black", "white")[k % 2], f"{k}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((20, 60, 3), 128, np.uint8)
        pixels[:, :20] = 255 * (k % 2)
        Image.fromarray(pixels).save(path)


@pytest.mark.parametrize("verb", ["evaluate", "attack --eps 1 --pictures 0 --attacks noise", "transfer --folds 2"])
def test_a_model_looks_at_other_sets_as_it_was_trained(verb: str) -> None:
    model = settled(pa.create_model("vgg_att2_concat_pc", 2, 0.0625))
    model.classes, model.crop_mode = ("black", "white"), "squash"
    pa.save(model, "run")
    name, *options = verb.split()
    assert run([name, "run", "--data", "folder:long", *options]) == 0
    assert ["squash" in folder.name for folder in cache_root().iterdir()] == [True]


def test_the_whole_picture_is_trained_on_and_resumed_with(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = "train --data folder:long --crop-mode squash --width 0.0625 --epochs 1 --out run --json"
    assert run([*arguments.split(), "--recipe-set", "batch_size=4"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["crop_mode"] == "squash"
    assert json.loads(Path("run", "config.json").read_text())["reading"]["crop_mode"] == "squash"
    assert pa.load("run").crop_mode == "squash"


def test_an_unknown_crop_mode_is_named_before_any_data_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--data", "folder:nowhere", "--crop-mode", "squeeze"]) == 2
    assert "squeeze" in capsys.readouterr().err
