"""A run knows where its data lay: it is measured on that, from whatever folder, or it is said what has changed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from payattention.cli.app import run

TRAIN = "train --model vgg_gap --width 0.0625 --recipe quickstart --epochs 1 --out run --data"


def draw(folder: Path, classes: dict[str, int], count: int = 10) -> None:
    """Noise of a brightness for each class."""
    random = np.random.default_rng(0)
    for name, bright in classes.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(bright, bright + 60, (32, 32, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a run was trained on `flat` beside it."""
    place = tmp_path / "home"
    draw(place / "flat", {"dark": 0, "bright": 190})
    monkeypatch.chdir(place)
    assert run([*TRAIN.split(), "folder:flat"]) == 0
    return place


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[dict[str, object], str]:
    capsys.readouterr()
    assert run(["evaluate", *arguments, "--json"]) == 0
    printed = capsys.readouterr()
    return json.loads(printed.out), printed.err


def test_a_run_is_measured_where_its_data_lay(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here, told = evaluated(capsys, "run")
    assert "is not what" not in told
    elsewhere = tmp_path / "elsewhere"
    draw(elsewhere / "flat", {"dark": 190, "bright": 0}, count=25)  # a trap: another set of that name
    monkeypatch.chdir(elsewhere)
    there, told = evaluated(capsys, str(home / "run"))
    assert (there["count"], there["error"]) == (here["count"], here["error"])
    assert "is not what" not in told


def test_what_has_changed_is_said_in_one_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw(home / "more", {"dark": 0}, count=12)
    for picture in (home / "more/dark").iterdir():
        picture.rename(home / "flat/dark" / f"more{picture.name}")
    _, told = evaluated(capsys, "run")
    assert f"note: folder:{home / 'flat'} is not what run had: 4 images of test then, 7 now" in told.splitlines()


def test_other_pictures_of_the_same_number_are_told_by_their_checksum(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(home / "flat")
    draw(home / "flat", {"dark": 1, "bright": 189})
    _, told = evaluated(capsys, "run")
    assert f"note: folder:{home / 'flat'} is not what run had: other pictures or labels of test" in told.splitlines()
    _, told = evaluated(capsys, "run", "--limit", "2")  # a part cannot be compared
    assert "is not what" not in told
    _, told = evaluated(capsys, "run", "--data", "folder:flat")  # named by the user: nothing to compare with
    assert "is not what" not in told


def test_data_that_is_gone_is_said_with_the_cure(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "flat").rename(home / "moved")
    for verb in ("evaluate", "attack", "segment", "compare"):
        capsys.readouterr()
        assert run([verb, "run"]) in (1, 2)
        told = capsys.readouterr().err
        if verb != "segment":  # vgg_gap has no maps, which is found first
            assert f"{home / 'flat'}: no longer there; run was trained on it" in told
            assert "--data folder:PATH" in told
    evaluated(capsys, "run", "--data", "folder:moved")


def test_the_classes_of_a_run_are_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path / "flat", {"dark": 0, "grey": 100, "bright": 190})
    monkeypatch.chdir(tmp_path)
    assert run([*TRAIN.split(), "folder:flat", "--classes", "dark,bright"]) == 0
    result, told = evaluated(capsys, "run")
    assert result["count"] == 4
    assert "is not what" not in told


def test_runs_from_before_checksums_and_from_python_are_measured(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = home / "run/config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    del config["data"]["checksums"]
    file.write_text(json.dumps(config), encoding="utf-8")
    assert "is not what" not in evaluated(capsys, "run")[1]
    config["reading"] = None
    file.write_text(json.dumps(config), encoding="utf-8")
    assert "is not what" not in evaluated(capsys, "run")[1]


def test_a_finished_run_gets_more_epochs_by_its_folder_alone(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["train", "--resume", str(home / "run")]) == 2
    assert "this run is finished" in capsys.readouterr().err
    assert run(["train", "--resume", str(home / "run"), "--epochs", "1"]) == 2
    assert "this run has 1 already" in capsys.readouterr().err
    assert run(["train", "--resume", str(home / "run"), "--epochs", "2", "--json"]) == 0
    printed = capsys.readouterr()
    assert "a second cycle from the weights" in " ".join(printed.err.split())
    assert json.loads(printed.out)["epochs_before"] == 1
