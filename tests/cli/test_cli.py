"""The program as a user meets it: results, and one clear line for every mistake."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from payattention import save
from payattention.cli.app import run
from payattention.data.readers.cluttered_digits import COUNTS
from payattention.models import Classifier


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PAYATTENTION_DATA", raising=False)


@pytest.fixture
def saved(model: Classifier, tmp_path: Path) -> str:
    save(model, tmp_path / "run")
    return "run"


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    """Two classes of four pictures each, bright and dark, 40x36."""
    for k in range(8):
        path = tmp_path / "pictures" / ("dark", "bright")[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(k).integers(0, 100, (36, 40, 3)) + 150 * (k % 2)
        Image.fromarray(noise.astype(np.uint8)).save(path)
    return "folder:pictures"


def test_the_main_job_on_a_folder_of_pictures(pictures: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Train, evaluate and look, as three commands."""
    shape = ["--model", "vgg_att2_concat_pc", "--width", "0.0625", "--epochs", "1", "--recipe-set", "batch_size=2"]
    assert run(["train", *shape, "--data", pictures, "--out", "run", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {p.name for p in Path("run").iterdir()} == {
        "config.json", "metrics.csv", "metrics.jsonl", "model.safetensors", "result.json",
    }  # fmt: skip
    assert result["test"]["count"] == 2
    assert result["data"]["name"] == pictures
    assert len(result["curve"]) == 1

    assert run(["evaluate", "run", "--json"]) == 0
    evaluation = json.loads(capsys.readouterr().out)
    assert evaluation["error"] == result["test"]["error"]
    assert set(evaluation["class_errors"]) <= {"bright", "dark"}
    assert {"command", "seed", "versions", "device", "seconds"} <= set(evaluation["provenance"])

    assert run(["maps", "run", "pictures/dark", "--out", "maps", "--json"]) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert len(manifest["pictures"]) == 4
    assert Path(manifest["out"], manifest["sheets"][0]).is_file()
    assert manifest == {"out": "maps", **json.loads(Path("maps/manifest.json").read_text())}
    assert manifest["provenance"]["command"] == "payattention maps run pictures/dark --out maps --json"


def test_the_quickstart_from_end_to_end(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(COUNTS, "train", 128)
    monkeypatch.setitem(COUNTS, "test", 40)
    monkeypatch.setattr("payattention.weights.bundled.DEFAULTS", ("vgg_att2_concat_pc.cifar10",))
    assert run(["quickstart", "--epochs", "1", "--json"]) == 0
    printed = capsys.readouterr()
    summary = json.loads(printed.out)
    assert summary["photographs"]["model"] == "vgg_att2_concat_pc.cifar10"
    assert Path(summary["photographs"]["sheet"]).is_file()
    assert f"looks in {summary['photographs']['count']} photographs" in printed.err
    assert summary["run"] == "runs/quickstart"
    assert 0 <= summary["error"] <= 100
    assert set(summary["pointing"]["hits"]) == {"layer10", "layer13", "combined", "image centre", "random point"}
    assert Path(summary["sheet"]).is_file()
    assert Path("runs/quickstart/model.safetensors").is_file()
    assert "training vgg_att2_concat_pc at width 0.125 on 128 images" in printed.err


def test_parquet_in_the_hugging_face_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = []
    for k in range(6):
        Image.new("RGB", (32, 32), (k, 0, 0)).save("x.png")
        rows.append({"bytes": Path("x.png").read_bytes(), "path": None})
    features = {"label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"image": rows, "label": [k % 2 for k in range(6)]}).replace_schema_metadata(metadata)
    Path("set").mkdir()
    pq.write_table(table.slice(0, 4), "set/train-00000-of-00002.parquet")
    pq.write_table(table.slice(4), "set/train-00001-of-00002.parquet")
    pq.write_table(table, "set/test-00000-of-00001.parquet")

    from payattention import load_data

    train = load_data("parquet:set", "train")
    assert train.classes == ("cat", "dog")
    assert train.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert train.images[:, 0, 0, 0].tolist() == list(range(6))


def test_the_list_of_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "vgg_att3*pc", "--classes", "100", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["models"]
    assert {m["model"]: m["parameters"] for m in listed} == {
        "vgg_att3_concat_pc": 19_971_751,
        "vgg_att3_indep_pc": 19_971_951,
    }
    assert listed[0]["maps"] == ["layer7", "layer10", "layer13"]
    assert run(["models"]) == 0
    assert "14,991,946" in capsys.readouterr().out


def prepared(tmp_path: Path) -> None:
    """Things that mistakes are made with."""
    Path("text.jpg").write_text("not a picture")
    Path("empty.png").touch()
    Path("empty").mkdir()
    Path("bare-run").mkdir()
    Path("model.pt").write_bytes(b"pickle")
    Path("columns.parquet").parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({"picture": [1], "label": [0]}), "columns.parquet")
    pq.write_table(pa.table({"image": [1], "category": [0]}), "labels.parquet")
    Path("cut.parquet").write_bytes(Path("labels.parquet").read_bytes()[:50])
    for name in ("a", "b"):
        Path("no-pictures", name).mkdir(parents=True)
    Image.new("RGB", (40, 40)).save("good.png")


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        ("maps run nowhere.jpg", 1, "nowhere.jpg: no such file"),
        ("maps run text.jpg", 1, "text.jpg: not a picture"),
        ("maps run empty.png", 1, "empty.png: the file is empty"),
        ("maps run empty", 1, "empty: no pictures in this folder"),
        ("maps run good.png --size 8", 2, "size is 8 pixels: vgg_att2_concat_pc takes 16 to 2048"),
        ("maps bare-run good.png", 1, "no model.safetensors in this folder"),
        ("maps nowhere good.png", 1, "nowhere: no such run folder or file"),
        ("maps model.pt good.png", 1, "pickles are never opened"),
        ("maps run good.png --out good.png", 2, "good.png is a file; a folder is needed"),
        ("train --model vgg_att2_concat", 2, "did you mean 'vgg_att2_concat_"),
        ("train --data cluttered_digit", 2, "did you mean 'cluttered_digits'"),
        ("train --data folder:", 2, "has no path: write folder:PATH"),
        ("train --data folder:nowhere", 1, "nowhere: no such folder, neither here nor in the data root (--data-root"),
        ("train --data parquet:nowhere", 1, "no such file or folder, neither here nor in the data root"),
        ("train --data folder:no-pictures", 1, "no pictures in its class folders"),
        ("train --data folder:empty", 1, "empty: holds no class folders"),
        ("train --hold-out 0.5 --data parquet:columns.parquet", 1, "no column 'image'; it has picture, label"),
        ("train --hold-out 0.5 --data parquet:labels.parquet", 1, "no column 'label'; it has image, category"),
        ("train --data parquet:cut.parquet", 2, "parquet:cut.parquet is one file, and so is every split of it"),
        ("train --hold-out 0.5 --data parquet:cut.parquet", 1, "not a whole parquet file"),
        ("train --data parquet:empty", 1, "no train-*.parquet in it"),
        ("train --width 0", 2, "width is 0: it lies between 0.0625 and 8"),
        ("train --width 1000", 2, "width is 1000"),
        ("train --width wide", 2, "Invalid value for '--width'"),
        ("train --epochs 0", 2, "epochs is 0: it lies between 1 and"),
        ("train --recipe modrn", 2, "did you mean 'modern'"),
        ("train --recipe-set speed=1", 2, "unknown recipe field 'speed'"),
        ("train --recipe mine.toml", 2, "the recipe mine.toml cannot be read: No such file"),
        ("train --recipe-set model.init=torch7", 2, "unknown recipe field 'model.init'"),
        ('train --recipe-set model={"taps":"over"}', 2, "unknown place of the taps 'over'"),
        ("train --init-from nowhere", 1, "nowhere: no such run folder or file"),
        ("train --init-from model.pt", 1, "pickles are never opened"),
        ("train --init-from timm:resnet18", 2, "name a saved model: a run, a file, one of the package"),
        ("train --model vgg --sheet-every 1", 2, "vgg has no attention maps"),
        ("train --recipe-set lr", 2, "write --recipe-set NAME=VALUE"),
        ("train --set taps=over", 2, "unknown place of the taps 'over'"),
        ("train --out run", 2, "run: this folder is not empty; choose another"),
        ("trian", 2, "No such command 'trian'"),
        ("train --widht 1", 2, "--widht"),
        ("evaluate run", 1, "no config.json there that tells its data set; name one with --data"),
        ("evaluate run --data cluttered_digits", 2, "the model knows 3 classes"),
        ("evaluate run --data cluttered_digits --split val", 2, "unknown split 'val'"),
        ("models resnet9000", 2, "unknown model 'resnet9000'"),
        ("models --width 99", 2, "width is 99"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(
    command: str, status: int, message: str, saved: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert run(command.split()) == status
    printed = capsys.readouterr()
    assert message in printed.err
    last = printed.err.strip().splitlines()[-1]
    assert last.startswith("payattention: ")
    assert message in last
    assert printed.out == ""
    assert sorted(tmp_path.rglob("*")) == before, "a failed command must leave nothing behind"


def test_a_place_that_cannot_be_written_to_is_named(saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (40, 40)).save("good.png")
    assert run(["maps", saved, "good.png", "--out", "/proc/nowhere"]) in (1, 2)
    assert capsys.readouterr().err.splitlines()[-1].startswith("payattention: ")


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m payattention models --json | head -c 10"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert len(done.stdout) == 10


def test_one_network_is_shown_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "vgg_att2_concat_pc", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["models"]
    assert listed["options"]["compatibility"] == "pc"
    assert listed["options"]["preprocessing"] == "mean_std"


def test_help_names_every_option_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("quickstart", "models", "train", "evaluate", "maps"):
        assert run([verb, "--help"]) == 0
        assert "--json" in capsys.readouterr().out
    assert run(["train", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "[default: 1.0]" in text
    assert "the paper's is 1" in text


def test_ctrl_c_is_one_line_whatever_typer_makes_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("payattention.models.list_models", interrupted)
    assert run(["models"]) == 130
    assert capsys.readouterr().err == "payattention: stopped\n"


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("from payattention.cli.app import run; run(['--help'])", ["torch", "numpy", "pydantic", "sklearn"]),
        ("import payattention", ["torch", "lightning", "pydantic", "matplotlib", "sklearn"]),
        ("import payattention as pa; pa.create_model; pa.explain; pa.load", ["lightning", "matplotlib", "sklearn"]),
    ],
)
def test_imports_stay_light(code: str, absent: list[str]) -> None:
    check = f"{code}; import sys; print([m for m in {absent!r} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("can't allocate memory: 1 GB"), MemoryError()]
)
def test_memory_that_runs_out_is_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _failing_with(error, monkeypatch)
    assert run(["models"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("payattention: memory ran out")
    assert "--recipe-set batch_size=32" in line


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    _failing_with(RuntimeError("shapes do not fit"), monkeypatch)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        run(["models"])


def _failing_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("payattention.models.list_models", fail)
