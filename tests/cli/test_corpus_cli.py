"""`maps` and `predict` with `--engine`: what is written and told, and mistakes in a line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from payattention import create_model, read_maps, save
from payattention.cli.app import run


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("corpus")
    model = create_model("vgg_att2_concat_pc", 3, 0.0625).eval()
    model.classes = ("cat", "dog", "bird")
    save(model, place / "model")
    (place / "pictures").mkdir()
    random = np.random.default_rng(0)
    for number in range(5):
        Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)).save(place / "pictures" / f"{number}.png")
    (place / "pictures" / "none.jpg").write_bytes(b"none")
    return place


def test_a_corpus_goes_on_where_it_was_stopped(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    words = ["maps", "model", "pictures", "--engine", "local", "--out", "out", "--target"]
    assert run([*words, "cat"]) == 2  # attention's maps are of no class
    assert not Path("out").exists()
    words = [*words[:-1], "--overlays", "--style", "dim", "--json"]
    assert run([*words, "--shard-size", "4"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["pictures"], first["rows"], first["rows_before"], first["errors"]) == (6, 6, 0, 1)
    assert first["first_errors"][0].startswith("none.jpg: not a picture")
    next(Path("out/shards").glob("000000-*")).unlink()
    assert run([*words, "--html", "page.html"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["rows"], again["rows_before"]) == (6, 2)
    assert Path("page.html").is_file()
    rows = read_maps("out")
    assert [row.id for row in rows.where()] == [f"{number}.png" for number in range(5)]
    assert rows.manifest.asked["style"] == "dim"
    assert len([*Path("out/overlays").rglob("*.jpg")]) == 5


def test_predict_writes_rows_too(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert run(["predict", "model", "pictures", "--engine", "local", "--out", "classes", "--top", "1"]) == 0
    assert "6 rows for 6 pictures; 1 with an error" in capsys.readouterr().out
    rows = read_maps("classes")
    assert [len(row.top) for row in rows] == [1, 1, 1, 1, 1, 0]
    assert "map_combined" not in rows.columns


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("maps model pictures --workers 2", "--workers is of a corpus"),
        ("maps model pictures --overlays", "--overlays is of a corpus"),
        ("predict model pictures --limit-rate 2", "--limit-rate is of a corpus"),
        ("maps model pictures --engine locl --out x", "did you mean 'local'?"),
        ("maps model pictures --engine local --workers 2 --out x", "--workers is of --engine ray"),
        ("maps model pictures --engine local --refine guided --out x", "--refine is not of a corpus"),
        ("maps model pictures --engine local --style dim --out x", "--style is not of a corpus"),
        ("predict model pictures --engine local --format csv --out x", "--format is not of a corpus"),
        ("maps model pictures --engine local", "--engine wants --out"),
        ("maps model pictures pictures --engine local --out x", "a model and one source"),
        ("predict model --engine local --out x", "a model and one source"),
    ],
)
def test_mistakes_are_told_in_a_line(
    words: str, line: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert run(words.split()) == 2
    told = capsys.readouterr().err
    assert line in told
    assert told.count("\n") == 1
    assert not Path("x").exists()
