"""`payattention predict`: what is in pictures, as other programs read it; and honest probabilities."""

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import payattention as pa
from payattention.cli.app import run
from payattention.evaluation import calibration, classify
from payattention.models import Classifier


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PAYATTENTION_DATA", raising=False)


@pytest.fixture
def saved() -> Classifier:
    model = pa.create_model("vgg_att2_concat_pc", 3, 0.0625).eval()
    model.classes, model.crop_mode = ("ant", "bee", "cat"), "squash"
    pa.save(model, "run")
    return model


@pytest.fixture
def photos() -> list[str]:
    """Ten pictures of two classes in `photos/`, of several shapes."""
    names = [f"photos/{('ant', 'cat')[k % 2]}/{k}.png" for k in range(10)]
    for k, name in enumerate(names):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(k).integers(0, 256, (36 + k, 40 + 3 * k, 3), dtype=np.uint8)
        Image.fromarray(noise).save(name)
    return names


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """What the command finds on its standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_what_is_predicted_is_what_is_measured(
    saved: Classifier, photos: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The same classes and probabilities as `evaluate` has for the same files; also by several workers."""
    measured = classify(pa.load("run"), pa.load_data("folder:photos", "train", crop_mode="squash")).predictions
    files = [one.picture for one in measured]
    assert len(files) == 8
    for more in ([], ["--threads", "2"]):
        assert run(["predict", "run", *files, "--top", "2", *more]) == 0
        found = rows(capsys.readouterr().out)
        assert list(found[0]) == ["picture", "label", "class_1", "probability_1", "class_2", "probability_2"]
        assert [row["picture"] for row in found] == files
        assert [row["label"] for row in found] == [row["class_1"] for row in found] == [one.label for one in measured]
        for row, one in zip(found, measured, strict=True):
            said = [float(row["probability_1"]), float(row["probability_2"])]
            assert said == pytest.approx(list(one.top.values())[:2], abs=1e-4)


def test_all_that_is_said_is_in_each_form(
    saved: Classifier, photos: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", "run", "photos", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["count"], told["skipped"], told["temperature"]) == (10, [], 1.0)
    assert sum(said["probability"] for said in told["predictions"][0]["top"]) == pytest.approx(1, abs=1e-5)
    assert run(["predict", "run", "photos", "--out", "said.jsonl"]) == 0
    lines = [json.loads(line) for line in Path("said.jsonl").read_text().splitlines()]
    assert lines == told["predictions"]
    assert run(["predict", "run", "photos", "--out", "said.csv", "--json"]) == 0
    captured = json.loads(capsys.readouterr().out)
    assert (captured["out"], "predictions" in captured) == ("said.csv", False)
    assert [row["picture"] for row in rows(Path("said.csv").read_text())] == [one["picture"] for one in lines]
    assert run(["predict", "run", "photos", "--out", "said.csv"]) == 2
    assert "--out said.csv: this file is there already; choose another name" in capsys.readouterr().err


def test_below_a_threshold_it_is_unsure(
    saved: Classifier, photos: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", "run", "photos"]) == 0
    surest = sorted(float(row["probability_1"]) for row in rows(capsys.readouterr().out))
    middle = (surest[4] + surest[5]) / 2
    assert run(["predict", "run", "photos", "--unsure", str(middle)]) == 0
    printed = capsys.readouterr()
    assert [row["label"] == "unsure" for row in rows(printed.out)] == [
        float(row["probability_1"]) < middle for row in rows(printed.out)
    ]
    assert "unsure: 5 of 10 pictures" in printed.err


def test_a_list_of_paths(
    saved: Classifier, photos: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be read is left out and told, whether it is missing, damaged or empty of pictures."""
    Path("no.jpg").write_text("not a picture")
    Path("empty").mkdir()
    lines = [photos[0], "no.jpg", "nowhere.jpg", "", "empty", "photos/cat"]
    typed(monkeypatch, "\r\n".join(lines))
    assert run(["predict", "run", "-"]) == 0
    printed = capsys.readouterr()
    assert [row["picture"] for row in rows(printed.out)] == [photos[0], *photos[1::2]]
    for told in ("nowhere.jpg: no such file", "no.jpg: not a picture", "empty: no pictures", "left out in all: 3"):
        assert told in printed.err
    typed(monkeypatch, "\0".join(lines))
    assert run(["predict", "run", "-", "-0", "--strict"]) == 1
    assert capsys.readouterr().out == ""
    shutil.copy(photos[0], "two\nlines.png")
    typed(monkeypatch, "two\nlines.png\0")
    assert run(["predict", "run", "-", "--null"]) == 0
    assert rows(capsys.readouterr().out)[0]["picture"] == "two\nlines.png"


@pytest.mark.parametrize(
    ("command", "standard_input", "status", "message"),
    [
        ("run", "", 2, "name pictures: files, folders, or - for a list of them on standard input"),
        ("run -", "\n \n", 1, "the list of pictures on standard input is empty"),
        ("run -", "no.jpg\n", 1, "none of the pictures can be read: no.jpg: not a picture"),
        ("run no.jpg photos", "", 1, "no.jpg: not a picture"),
        ("run nowhere.jpg", "", 1, "nowhere.jpg: no such file"),
        ("run photos -0", "", 2, "--null is of the list on standard input: name it as -"),
        ("run photos --format cvs", "", 2, "unknown format 'cvs'; did you mean 'csv'?"),
        ("run photos --unsure 90", "", 2, "--unsure 90: a probability lies between 0 and 1"),
        ("run --calibrate held-out", "", 2, "--calibrate held-out: run has no config.json that tells what was held"),
        ("run --calibrate photos", "", 2, "for what lies there write folder:photos; or held-out: what the run held"),
        ("run --calibrate held-out --out x.csv", "", 2, "--out x.csv: this is for predictions: name pictures, too"),
        ("nowhere photos", "", 1, "nowhere: no such run folder or file"),
    ],
)
def test_mistakes(
    saved: Classifier,
    photos: list[str],
    command: str,
    standard_input: str,
    status: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("no.jpg").write_text("not a picture")
    typed(monkeypatch, standard_input)
    assert run(["predict", *command.split()]) == status
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""


def test_a_reader_that_goes_away_is_no_error(saved: Classifier, photos: list[str]) -> None:
    """`payattention predict run photos | head -1`."""
    command = [sys.executable, "-m", "payattention", "predict", "run", *["photos"] * 2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        told = process.stderr.read()
    assert process.returncode == 1
    assert b"Traceback" not in told, told
    assert b"Exception" not in told, told


def test_a_run_keeps_the_temperature_that_its_held_out_pictures_need(
    photos: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Probabilities change as a temperature changes them, and no class does; in `predict`, `evaluate` and `explain`."""
    shape = ["--model", "vgg_gap", "--width", "0.0625", "--epochs", "1", "--recipe-set", "batch_size=2"]
    assert run(["train", *shape, "--data", "folder:photos", "--hold-out", "0.25", "--out", "run"]) == 0
    weights = Path("run/model.safetensors")
    before, tensors = pa.load("run"), weights.read_bytes()[-200:]
    with pytest.raises(pa.PayAttentionError, match="take --calibrate held-out"):
        _raising("predict", "run", "--calibrate", "folder:photos", capsys=capsys)
    monkeypatch.setattr(calibration, "best_temperature", lambda logits, labels: 2.0)
    capsys.readouterr()
    assert run(["predict", "run", "photos", "--calibrate", "held-out", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    kept = json.loads(Path("run/calibration.json").read_text())
    assert (kept["temperature"], kept["split"], kept["count"]) == (2.0, "held-out", 2)
    assert told["calibration"] == kept
    after = pa.load("run")
    assert (before.temperature, after.temperature) == (1.0, 2.0)
    assert weights.read_bytes()[-200:] == tensors
    assert all((one == other).all() for one, other in zip(before.parameters(), after.parameters(), strict=True))
    for one in told["predictions"]:
        cold, warm = (pa.explain(model, one["picture"], size=32) for model in (before, after))
        assert warm.label == cold.label
        odds = np.sqrt(cold.probabilities) / np.sqrt(cold.probabilities).sum()
        assert warm.probabilities == pytest.approx(odds, abs=1e-5)
    data = pa.load_data("folder:photos", "test")
    old, new = (classify(model, data) for model in (before, after))
    assert [one.label for one in new.predictions] == [one.label for one in old.predictions]
    said = {one["picture"]: one["top"][0]["probability"] for one in told["predictions"]}
    assert [one.probability for one in new.predictions] == pytest.approx(
        [said[one.picture] for one in new.predictions], abs=1e-5
    )
    assert run(["predict", "run", "--calibrate", "off"]) == 0
    assert pa.load("run").temperature == 1.0
    assert not Path("run/calibration.json").exists()


def _raising(*command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What a command that is called wrongly says, as an error."""
    assert run([*command]) == 2
    raise pa.PayAttentionError(capsys.readouterr().err)


def test_pictures_that_a_run_was_trained_on_calibrate_nothing_and_others_do(
    photos: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = ["--model", "vgg_gap", "--width", "0.0625", "--epochs", "1", "--recipe-set", "batch_size=2"]
    assert run(["train", *shape, "--data", "folder:photos", "--out", "whole"]) == 0
    capsys.readouterr()
    assert run(["predict", "whole", "--calibrate", "held-out"]) == 2
    assert "whole was trained on all of its train split (train --hold-out 0.1 keeps" in capsys.readouterr().err
    shutil.copytree("photos", "copy")
    assert run(["predict", "whole", "--calibrate", "folder:copy"]) == 2
    assert "these are the very pictures that whole was trained or measured on" in capsys.readouterr().err
    assert run(["predict", "timm:test_vit", "--calibrate", "folder:copy"]) == 2
    assert "timm:test_vit has no run folder, in which" in capsys.readouterr().err
    for file in Path("copy").rglob("*.png"):
        Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
    monkeypatch.setattr(calibration, "best_temperature", lambda logits, labels: 2.0)
    assert run(["predict", "whole/model.safetensors", "--calibrate", "folder:copy"]) == 0
    printed = capsys.readouterr().out
    assert "calibrated on 8 pictures of folder:copy, train" in printed
    assert "kept: whole/model.safetensors (temperature 2.0), whole/model.calibration.json" in printed
    assert pa.load("whole").temperature == 2.0
