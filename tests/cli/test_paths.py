"""Paths as people type them: `~` that no shell replaced, a folder in place of a set's name, names with dots."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from payattention import create_model, load, save
from payattention.cli.app import run
from payattention.cli.options import picture_file
from payattention.data import load_data
from payattention.data.places import data_root, path_of
from payattention.errors import UsageError
from payattention.system.files import at_home
from payattention.weights.named import named


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder, with `photos` of two classes and a model `run-v1.5`; the work is done in a folder beside it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.delenv("PAYATTENTION_DATA", raising=False)
    for number in range(10):
        file = tmp_path / "home" / "photos" / ("cat", "dog")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((32, 32, 3), 20 * number, np.uint8)).save(file)
    model = create_model("vgg_att_pc", 2, 0.0625)
    model.classes = ("cat", "dog")
    save(model, tmp_path / "home" / "run-v1.5")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


def test_a_tilde_is_the_home_folder_wherever_a_path_is_given(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(load_data("folder:~/photos", "test")) == 2
    assert run(["evaluate", "~/run-v1.5", "--data", "folder:~/photos"]) == 0
    assert run(["maps", "~/run-v1.5", "~/photos/cat/0.png", "--out=~/maps"]) == 0
    assert (home / "maps" / "manifest.json").is_file()
    assert run(["data", "folder:photos", "--data-root=~", "--out", "~/sheet.png"]) == 0
    assert (home / "sheet.png").is_file()
    assert not Path("~").exists()
    assert load("~/run-v1.5").classes == ("cat", "dog")
    monkeypatch.setenv("PAYATTENTION_DATA", "~/data")
    assert data_root() == home / "data"


def test_what_only_looks_like_a_home_stays(home: Path) -> None:
    assert path_of("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")
    assert at_home(Path("a~/b")) == Path("a~/b")
    assert path_of(home.as_uri()) == home


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("photos", "folder:photos"),
        ("./photos", "folder:./photos"),
        ("shards", "parquet:shards"),
        ("one.parquet", "parquet:one.parquet"),
        ("~/photos", "folder:"),
    ],
)
def test_a_path_where_a_name_is_wanted(
    home: Path, name: str, hint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    Path("shards").mkdir()
    for file in (Path("shards/train-0.parquet"), Path("one.parquet")):
        file.touch()
    assert run(["train", "--data", name]) == 2
    assert f"for what lies there write {hint}" in capsys.readouterr().err
    with pytest.raises(UsageError, match="unknown data set 'nowhere'"):
        load_data("nowhere")


def test_no_picture_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert picture_file(None, "maps.png") == Path("maps.png")
    assert picture_file(Path("new.jpg"), "maps.png") == Path("new.jpg")
    for name in ("maps.png", "maps-2.png", "mine.jpg"):
        Path(name).touch()
    assert picture_file(None, "maps.png") == Path("maps-3.png")
    assert picture_file(tmp_path, "maps.png") == tmp_path / "maps-3.png"
    with pytest.raises(UsageError, match=r"--out mine\.jpg: this file is there already; choose another name"):
        picture_file(Path("mine.jpg"), "maps.png")


def test_every_picture_that_was_asked_is_on_a_sheet(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payattention.figures.query._MOST", 1)
    query, out = str(home / "photos/cat/0.png"), home / "out"
    assert run(["query", str(home / "run-v1.5"), query, str(home / "photos"), "--out", str(out)]) == 0
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert len(manifest["sheets"]) == len(manifest["pictures"]) > 1
    assert sorted(path.name for path in out.glob("sheet*")) == sorted(manifest["sheets"])


def called(path: Path) -> str:
    return named(str(path)).title


def test_a_run_is_called_by_its_whole_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert called(home / "run-v1.5") == "run-v1.5"
    assert called(home / "weights.safetensors") == "weights"
    picture = str(home / "photos/cat/0.png")
    assert run(["maps", str(home / "run-v1.5"), picture]) == 0
    assert Path("runs/maps-run-v1.5/manifest.json").is_file()
    monkeypatch.chdir(home / "run-v1.5")
    assert called(Path()) == called(Path("../run-v1.5/")) == "run-v1.5"
    assert run(["maps", ".", picture]) == 0
    assert json.loads(Path("runs/maps-run-v1.5/manifest.json").read_text(encoding="utf-8"))["model"] == "vgg_att_pc"
