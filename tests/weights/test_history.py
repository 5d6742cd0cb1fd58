"""What lies beside weights tells how they came to be, and where nothing lies, nothing is made up."""

import json
from pathlib import Path

import pytest

from payattention.errors import CheckpointError
from payattention.weights.history import history_of, without_places

ROOT = Path(__file__).parents[2]
RESULT = {
    "data": {"name": "folder:/home/me/photos", "train": 320, "test": 80, "measured_on": "held out"},
    "recipe": {"epochs": 2},
    "seed": 3,
    "test": {"count": 80, "error": 12.5},
    "provenance": {
        "seconds": 61.4,
        "device": "a CPU",
        "command": "payattention train --data folder:/home/me/photos --out '/tmp/my runs/x' --weights=~/w.safetensors",
        "versions": {"torch": "2.15.0"},
        "date": "2026-11-27",
    },
}


def written(file: Path, value: object) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(value))
    return file


def test_of_a_run_without_its_places(tmp_path: Path) -> None:
    written(tmp_path / "run" / "result.json", RESULT)
    for path in (tmp_path / "run", tmp_path / "run" / "model.safetensors"):
        history = history_of(path)
        assert history is not None
        assert (history.data, history.counts, history.measured_on) == ("folder:photos", (320, 80), "held out")
        assert history.command == "payattention train --data folder:photos --out x --weights=w.safetensors"


@pytest.mark.parametrize("under", ["in_float16", "measured"])
def test_of_a_file_that_was_rounded(under: str, tmp_path: Path) -> None:
    measured = {"count": 80, "error": 13.75}
    written(
        tmp_path / "net.json", {"trained": RESULT, under: measured if under == "in_float16" else {"test": measured}}
    )
    history = history_of(tmp_path / "net.safetensors")
    assert history is not None
    assert (history.error, history.seed) == (13.75, 3)


def test_of_nothing(tmp_path: Path) -> None:
    assert history_of(tmp_path) is None
    (tmp_path / "net.safetensors").touch()
    assert history_of(tmp_path / "net.safetensors") is None


@pytest.mark.parametrize("value", [[], {}, {**RESULT, "seed": None}, {**RESULT, "test": {}}, "text"])
def test_of_what_is_not_understood(value: object, tmp_path: Path) -> None:
    written(tmp_path / "run" / "result.json", value)
    with pytest.raises(CheckpointError, match=r"result\.json: damaged, or of another version"):
        history_of(tmp_path / "run")


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("/home/me/photos", "photos"),
        ("folder:/home/me/photos", "folder:photos"),
        ("--data=folder:/home/me/photos", "--data=folder:photos"),
        ("~/photos", "photos"),
        (r"C:\Users\me\photos", "photos"),
        ("timm:resnet18", "timm:resnet18"),
        ("runs/x", "runs/x"),
        ("cifar10", "cifar10"),
        ("lr=0.1", "lr=0.1"),
    ],
)
def test_a_word_keeps_of_a_place_its_last_part(word: str, kept: str) -> None:
    assert without_places(word) == kept


def test_a_run_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nope: no such run folder or file"):
        history_of(tmp_path / "nope")
