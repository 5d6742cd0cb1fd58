"""`attack`, `transfer` and `figure` as a user meets them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from payattention import create_model, save
from payattention.cli.app import run
from payattention.data.readers.cluttered_digits import COUNTS
from settling import settled


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of what the commands name.

    `run`, `other`: models that know bright from dark pictures by name only; `pictures`: two classes of six pictures
    each for testing, bright and dark, 40x36; `alone`: one of them.
    """
    tmp_path = tmp_path_factory.mktemp("things")
    torch.manual_seed(0)
    for name, network in (("run", "vgg_att2_concat_pc"), ("other", "vgg_att3_concat_pc")):
        model = settled(create_model(network, 2, 0.0625))
        model.classes = ("bright", "dark")
        save(model, tmp_path / name)
    for k in range(12):
        path = tmp_path / "pictures" / "test" / ("dark", "bright")[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(k).integers(0, 100, (36, 40, 3)) + 150 * (k % 2)
        Image.fromarray(noise.astype(np.uint8)).save(path)
    (tmp_path / "pictures" / "train").mkdir()
    for name, count in (("dark", 3), ("bright", 0)):
        (tmp_path / "alone" / "train" / name).mkdir(parents=True)
        Image.new("RGB", (40, 40)).save(tmp_path / "alone" / "train" / name / "x.png")
        (tmp_path / "alone" / "test" / name).mkdir(parents=True)
        for k in range(count):
            Image.new("RGB", (40, 40)).save(tmp_path / "alone" / "test" / name / f"{k}.png")
    return tmp_path


@pytest.fixture(autouse=True)
def _elsewhere(things: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(things, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PAYATTENTION_DATA", raising=False)
    monkeypatch.setitem(COUNTS, "test", 20)


def test_attack_from_end_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    shape = ["--data", "folder:pictures", "--eps", "0,4", "--attacks", "noise,fgsm,pgd", "--steps", "2"]
    shape += ["--objective", "logit"]
    assert run(["attack", "run", *shape, "--pictures", "2", "--out", "out", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result.pop("out") == "out"
    assert result == json.loads(Path("out/attack.json").read_text())
    assert result["count"] == 12
    assert result["settings"] == {
        "noise": {},
        "fgsm": {"objective": "logit", "towards": False},
        "pgd": {"steps": 2, "step_size": None, "random_start": True, "objective": "logit", "towards": False},
    }
    assert [(row["attack"], row["eps"]) for row in result["attacks"]] == [
        (name, eps) for name in ("noise", "fgsm", "pgd") for eps in (0, 4)
    ]
    for row in result["attacks"]:
        if row["eps"] == 0:
            assert row["fooling_rate"] == 0
            assert row["error"] == result["clean_error"]
    assert result["provenance"]["command"].startswith("payattention attack run --data folder:pictures")
    with Image.open("out/attack.png") as sheet:
        assert sheet.width == 8 + 3 * 158

    assert run(["attack", "run", *shape, "--pictures", "0", "--out", "table", "--limit", "4"]) == 0
    assert "4 images, error" in capsys.readouterr().out
    assert [path.name for path in Path("table").iterdir()] == ["attack.json"]


def test_transfer_from_end_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["transfer", "run", "--data", "folder:pictures", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["folds"] == [100.0] * 5
    assert (result["accuracy"], result["deviation"], result["dimension"]) == (100.0, 0.0, 64)
    assert run(["transfer", "run", "--data", "folder:pictures", "--max-iter", "1", "--folds", "2"]) == 0
    printed = capsys.readouterr()
    assert "12 images of 2 classes at 32 px, linear SVM on 64 features" in printed.out
    assert "note: 2 of 2 SVMs were stopped at 1 iterations" in printed.err


def test_direct_transfer_from_end_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    Path("pictures/test/dark").rename("pictures/test/Grey")
    assert run(["transfer", "run", "--data", "folder:pictures", "--direct", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["shared"] == {"bright": "bright"}
    assert result["unknown"] == ["Grey"]
    assert (result["count"], result["shared_count"]) == (12, 6)
    assert result["accuracy"] == pytest.approx(result["shared_accuracy"] / 2, abs=0.01)
    assert run(["transfer", "run", "--data", "folder:pictures", "--direct"]) == 0
    assert "unknown to the model, so never right: Grey" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["activations", "attack", "maps", "masks", "query"])
def test_a_figure_of_two_models(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = ["--picture", "pictures/test/dark/0.png", "--picture", "pictures/test/bright"]
    asking = ["--query", "pictures/test/dark/2.png"] if kind == "query" else []
    assert run(["figure", kind, "run", "other", *pictures, *asking, "--eps", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["figure"], result["models"]) == (f"{kind}.png", ["run", "other"])
    assert result["pictures"][0] == "0"
    assert set(result["pictures"][1:]) == {"1", "3", "5", "7", "9", "11"}
    with Image.open(f"{kind}.png") as sheet:
        columns, cell = {
            "activations": (11, 160), "attack": (2, 150), "maps": (6, 160), "masks": (5, 160), "query": (8, 160),
        }[kind]  # fmt: skip
        assert sheet.width == 8 + columns * (cell + 8)


def test_a_damaged_picture_of_a_folder_is_left_out_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    Path("pictures/test/bright/broken.png").write_bytes(b"")
    assert run(["figure", "maps", "run", "--picture", "pictures/test/bright", "--json"]) == 0
    printed = capsys.readouterr()
    assert "broken" not in json.loads(printed.out)["pictures"]
    assert printed.err.startswith("left out: pictures/test/bright/broken.png: ")
    assert run(["figure", "maps", "run", "--picture", "pictures/test/bright/broken.png"]) == 1


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        ("attack run --data folder:pictures --eps -1", 2, "eps is -1: it is a distance between 8-bit pixels, 0 to 255"),
        ("attack run --data folder:pictures --eps 1,300", 2, "eps is 300"),
        ("attack run --data folder:pictures --eps nan", 2, "eps is nan"),
        ("attack run --data folder:pictures --eps 1,two", 2, "--eps '1,two': 'two' is not a number; write 1,2,4"),
        ("attack run --data folder:pictures --eps 1,", 2, "'' is not a number"),
        ("attack run --data folder:pictures --steps 0", 2, "--steps"),
        ("attack run --data folder:pictures --step-size 0", 2, "step_size is 0: it lies above 0"),
        ("attack run --data folder:pictures --attacks fgms", 2, "unknown attack 'fgms'; did you mean 'fgsm'"),
        ("attack run --data folder:pictures --away-from none", 2, "unknown class to lead away from 'none'"),
        ("attack run", 1, "no config.json there that tells its data set; name one with --data"),
        ("attack run --data cluttered_digit", 2, "did you mean 'cluttered_digits'"),
        ("attack run --data cluttered_digits --limit 10", 2, "the model knows 2 classes (bright, dark)"),
        ("attack nowhere --data folder:pictures", 1, "nowhere: no such run folder or file"),
        ("attack run --data folder:pictures --out run", 2, "run: this folder is not empty"),
        ("transfer run", 2, "--data"),
        ("transfer run --data cluttered_digit", 2, "did you mean 'cluttered_digits'"),
        ("transfer run --data stl10 --split tets", 2, "unknown split 'tets'; did you mean 'test'"),
        ("transfer run --data stl10", 1, "stl10 is not in"),
        ("transfer run --data folder:alone", 2, "all images of folder:alone (test) are of the class 'dark'"),
        ("transfer run --data folder:pictures --folds 7", 2, "has 6 images, too few for 7 folds"),
        ("transfer run --data folder:pictures --folds 1", 2, "--folds"),
        ("transfer run --data folder:pictures --image-size 8", 2, "size is 8 pixels: vgg_att2_concat_pc takes 16 to"),
        ("transfer run --data cluttered_digits --direct --limit 10", 2, "are of no class that the model knows"),
        ("figure plot run --picture a.png", 2, "unknown kind of figure 'plot'"),
        ("figure maps run", 2, "--picture"),
        ("figure query run --picture pictures/test/dark", 2, "takes a picture that asks: --query IMAGE"),
        ("figure maps run --picture pictures/test/dark --query a.png", 2, "the figure query, and no other, takes"),
        ("figure maps run --picture nowhere.png", 1, "nowhere.png: no such file"),
        ("figure maps run --picture pictures/test/dark --out x.txt", 2, "x.txt: the picture is a .png"),
        ("figure maps run --picture pictures/test/dark --size 8", 2, "size is 8 pixels"),
        ("figure attack run --picture pictures/test/dark --eps 1000", 2, "eps is 1000"),
        ("figure attack run --picture pictures/test/dark --attack noize", 2, "did you mean 'noise'"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(
    command: str, status: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path for path in tmp_path.rglob("*") if "decoded" not in path.parts)
    assert run(command.split()) == status
    printed = capsys.readouterr()
    last = printed.err.strip().splitlines()[-1]
    assert last.startswith("payattention: ")
    assert message in last
    assert printed.out == ""
    after = sorted(path for path in tmp_path.rglob("*") if "decoded" not in path.parts)
    assert after == before, "a failed command must leave nothing behind"


@pytest.mark.parametrize("verb", ["attack", "transfer", "figure"])
def test_the_help_shows_the_papers_values(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--json" in text
    assert {"attack": "1,2,4,8,16", "transfer": "(paper: 5)", "figure": "figures 4 and 7"}[verb] in text
