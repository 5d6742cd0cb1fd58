"""The report: made of the files in results/ alone, to the byte."""

import json
import shutil
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
from PIL import Image

from payattention.cli.app import run
from payattention.reproduce import all_cells, write_report
from payattention.reproduce.jobs import Departures, job_of
from payattention.reproduce.ours import ours
from payattention.reproduce.report import DIGEST
from payattention.reproduce.results import number, read_results
from payattention.training.recipe import load_recipe

ROOT = Path(__file__).parents[2]
CELL = all_cells()["table1/vgg_att2_concat_pc/cifar10"]
SETTINGS = job_of(CELL, 1).settings()


def plant(
    results: Path, cell: str, seed: int, value: float, departures: Departures | None = None, source: str = ""
) -> Path:
    """A result as the runner leaves it."""
    job = job_of(all_cells()[cell], seed, departures or Departures())
    data = {"name": job.data, "source": source, "train": 50_000, "test": 10_000}
    file = results / "cells" / f"{job.name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"test": {"error": value}, "data": data, "pointing": {"hits": {"combined": value}}}
    file.write_text(json.dumps({"settings": job.settings(), "result": content}))
    return file


def test_the_committed_page_is_that_of_the_committed_results(tmp_path: Path) -> None:
    assert write_report(ROOT / "results", tmp_path) == []
    assert (tmp_path / "results.md").read_bytes() == (ROOT / "docs" / "results.md").read_bytes()
    drawn = {file.name: _digest(file) for file in (tmp_path / "results").iterdir()}
    assert drawn == {file.name: _digest(file) for file in (ROOT / "docs" / "results").iterdir()}


def _digest(picture: Path) -> str:
    with Image.open(picture) as image:
        return str(image.info[DIGEST])


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    results = tmp_path / "results"
    for seed in range(3):
        plant(results, CELL.id, seed, 5 + seed / 10)
    pages = []
    for folder in ("a", "b"):
        write_report(results, tmp_path / folder)
        pages.append({f.relative_to(tmp_path / folder): f.read_bytes() for f in (tmp_path / folder).rglob("*.*")})
    assert pages[0] == pages[1]
    assert len(pages[0]) >= 2


def test_seeds_are_averaged_and_departures_kept_apart(tmp_path: Path) -> None:
    values = {0: 5.4, 1: 5.1, 2: 5.3}
    for seed, value in values.items():
        plant(tmp_path, CELL.id, seed, value)
    plant(
        tmp_path, CELL.id, 0, 9.9, Departures(width=0.25, epochs=13, recipe="modern"), "parquet copy, pictures as JPEG"
    )
    results, problems = read_results(tmp_path)
    assert problems == []
    faithful, departed = ours(CELL, results)
    assert faithful.departures == ()
    assert faithful.mean == pytest.approx(mean(values.values()))
    assert faithful.deviation == pytest.approx(stdev(values.values()))
    assert departed.departures == (
        "width 0.25",
        "recipe modern",
        "epochs 13",
        "parquet copy, pictures as JPEG",
    )
    assert departed.deviation is None
    assert ours(all_cells()["table1/vgg_att2_concat_pc/cifar100"], results) == []


def test_a_measurement_shows_its_trainings_departures(tmp_path: Path) -> None:
    cell = "cluttered_digits/vgg_att2_concat_pc/pointing"
    plant(tmp_path, cell, 0, 95.0, Departures(epochs=1))
    plant(tmp_path, "cluttered_digits/vgg_att2_concat_pc/error", 0, 50.0, Departures(epochs=1))
    (one,) = ours(all_cells()[cell], read_results(tmp_path)[0])
    assert one.values == {0: 95.0}
    assert one.departures[0] == "epochs 1"


def test_a_result_that_was_made_otherwise_is_shown_with_all_that_differs(tmp_path: Path) -> None:
    """results/cifar10.json: quarter width, the recipe modern, a JPEG copy."""
    shutil.copy(ROOT / "results" / "cifar10.json", tmp_path)
    content = json.loads((tmp_path / "cifar10.json").read_text())
    (one,) = ours(CELL, read_results(tmp_path)[0])
    assert one.values == {0: content["test"]["error"]}
    assert one.files == ("cifar10.json",)
    width, recipe, epochs, copy = one.departures
    assert (width, copy) == ("width 0.25", "parquet copy, pictures as JPEG")
    assert recipe.startswith("recipe modern")
    assert epochs == f"epochs {content['recipe']['epochs']}"
    write_report(tmp_path, tmp_path)
    page = (tmp_path / "results.md").read_text()
    line = next(line for line in page.splitlines() if "](../" in line)
    before = "| (VGG-att2)-concat-pc | 5.23 (0.04) | 5.42 (authors' scripts); 6.16 (Keras) |"
    assert line.startswith(f"{before} {content['test']['error']:.2f} | width 0.25; recipe modern")


def test_a_recipe_that_has_changed_since_is_another_one(tmp_path: Path) -> None:
    file = plant(tmp_path, CELL.id, 0, 5.4)
    content = json.loads(file.read_text())
    for lr, departures in ((0.1, ()), (0.2, ("recipe paper as it was then",))):
        content["result"]["recipe"] = {**load_recipe("paper").to_dict(), "lr": lr}
        file.write_text(json.dumps(content))
        (one,) = ours(CELL, read_results(tmp_path)[0])
        assert one.departures == departures


def test_what_was_held_out_is_no_result(tmp_path: Path) -> None:
    content = json.loads((ROOT / "results" / "cifar10.json").read_text())
    content["data"]["measured_on"] = "held out"
    (tmp_path / "cifar10.json").write_text(json.dumps(content))
    assert read_results(tmp_path) == ([], [])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"settings": {"ver', "not JSON (Unterminated string"),
        ("[1, 2]", "no cell's result"),
        ("\udcff", "cannot be read"),
        ("", "not JSON"),
        ('{"settings": {"verb": "train"}, "result": {}}', "no cell's result"),
        ('{"settings": {"verb": "segment", "name": "x", "seed": "zero"}, "result": {}}', "no cell's result"),
        (json.dumps({"settings": SETTINGS | {"width": None}, "result": {"test": {"error": 5}}}), "no cell's result"),
        (json.dumps({"settings": SETTINGS | {"recipe_set": 1}, "result": {"test": {"error": 5}}}), "no cell's result"),
        (json.dumps({"settings": SETTINGS, "result": {"test": {"error": 5}, "data": "?"}}), "no cell's result"),
    ],
)
def test_a_broken_result_is_named_and_the_rest_is_shown(
    tmp_path: Path, text: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(tmp_path / "results", CELL.id, 0, 5.4)
    broken = tmp_path / "results" / "cells" / "broken.json"
    broken.write_text(text, encoding="utf-8", errors="surrogateescape")
    folders = ["--results", str(tmp_path / "results"), "--docs", str(tmp_path)]
    assert run(["reproduce", "--report", *folders]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"left out: {broken}: ")
    assert complaint in lines[0]
    page = (tmp_path / "results.md").read_text()
    assert "| 5.40 | none | seed [0](" in page
    assert "broken.json" in page


def test_what_was_not_run_says_why(tmp_path: Path) -> None:
    reasons = {"table2/vgg/svhn": "no data here: svhn", "figure6/vgg/eps1": "no data here: cub200"}
    (tmp_path / "not_run.json").write_text(json.dumps({"machine": "x", "cells": reasons}))
    write_report(tmp_path, tmp_path)
    page = (tmp_path / "results.md").read_text()
    assert "| VGG | 4.27 (0.04) |  | - | not run: no data here: svhn | |" in page
    assert "- Not run: `figure6/vgg/eps1`: no data here: cub200." in page
    (tmp_path / "not_run.json").write_text("{")
    (problem,) = write_report(tmp_path, tmp_path)
    assert "not_run.json: broken" in problem


def test_numbers_are_found_by_their_path() -> None:
    content = {"attacks": [{"attack": "noise", "eps": 1.0, "rate": 3}, {"attack": "fgsm", "eps": 1.0, "rate": 58.5}]}
    assert number(content, ("attacks", {"attack": "fgsm", "eps": 1}, "rate")) == 58.5
    assert number(content, ("attacks", {"attack": "pgd", "eps": 1}, "rate")) is None
    assert number(content, ("attacks",)) is None


@pytest.mark.slow
def test_the_verb_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One real cell, on a few pictures: queue, run, stock, report."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("PAYATTENTION_DATA", str(tmp_path))
    for k in range(20):
        file = tmp_path / "pictures" / ("dark", "bright")[k % 2] / f"{k}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (32, 32), 10 * k).save(file)
    words = ["reproduce", "--cell", "cluttered_digits/vgg/error", "--seeds", "0", "--epochs", "1"]
    words += ["--data-map", "cluttered_digits=folder:pictures", "--width", "0.0625"]
    assert run([*words, "--dry-run", "--json"]) == 0
    (queued,) = json.loads(capsys.readouterr().out)["queue"]
    assert queued["obstacle"] is None
    assert run([*words, "--json"]) == 0
    (done,) = json.loads(capsys.readouterr().out)["done"]
    content = json.loads((tmp_path / "results" / "cells" / f"{done}.json").read_text())
    assert content["command"] == queued["command"]
    assert {"command", "seed", "versions", "device", "seconds"} <= set(content["result"]["provenance"])
    assert len(content["result"]["curve"]) == 1
    reasons = json.loads((tmp_path / "results" / "not_run.json").read_text())["cells"]
    assert reasons["table2/vgg/svhn"] == "no data here: svhn"
    assert run(["reproduce", "--report"]) == 0
    error = content["result"]["test"]["error"]
    departures = (
        "width 0.0625; epochs 1; read as folder:pictures; no train and test folders: all but every fifth picture of a "
        "class; 16 of 8,000 images to train; 4 of 2,000 images to test"
    )
    assert f"{error:.2f} | {departures}" in Path("docs/results.md").read_text()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--table", "tabel1"], "did you mean 'table1'"),
        (["--cell", "table1/vgg/cifar"], "no cell that can be run matches 'table1/vgg/cifar'"),
        (["--table", "keras"], "keras has no cell to run: its numbers are others'"),
        (["--table", "table1", "--cell", "table2/*"], "table1 has no cell to run that matches 'table2/*'"),
        (["--seeds", "0-2"], "write whole numbers with commas between"),
        (["--seeds", "-1"], "a seed lies between 0"),
        (["--data-map", "cifar10"], "write --data-map NAME=DATA"),
        (["--data-map", "cifar=parquet:x"], "unknown data set 'cifar'"),
        (["--recipe", "papers"], "unknown recipe 'papers'; did you mean 'paper'"),
        (["--width", "99"], "width is 99"),
        (["--report", "--results", "nowhere"], "--results nowhere: no such folder"),
    ],
)
def test_a_wrong_call_is_refused_in_one_line(
    words: list[str],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["reproduce", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line
    assert list(tmp_path.iterdir()) == []
