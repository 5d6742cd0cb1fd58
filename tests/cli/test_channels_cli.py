"""Grey pictures, and pictures of four bands, through every verb: they train, are measured, and get their maps."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from payattention.cli.app import run

SHAPE = ["--model", "fast_att2_concat_dp", "--width", "0.0625", "--epochs", "1", "--recipe-set", "batch_size=4"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PAYATTENTION_DATA", raising=False)


def made(folder: str, channels: int) -> str:
    """Two classes of four pictures in each split, dark and bright, 40x36; the first of each has a mask."""
    for k in range(16):
        split, name = ("train", "test")[k // 8], ("dark", "bright")[k % 2]
        pixels = np.random.default_rng(k).integers(0, 100, (36, 40, channels)) + 150 * (k % 2)
        path = Path(folder, split, name, f"{k}.{('png', 'tif')[k // 2 % 2]}")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8).squeeze()).save(path)
        mask = Path("masks", name, f"{k}.png")
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.pad(np.ones((18, 20), np.uint8) * 255, ((0, 18), (0, 20)))).save(mask)
    return f"folder:{folder}"


def answered(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    """What a command that succeeds prints as JSON."""
    status, printed = run([*words, "--json"]), capsys.readouterr()
    assert status == 0, printed.err
    return json.loads(printed.out)


@pytest.mark.parametrize("channels", [1, 4])
def test_from_training_to_maps(channels: int, capsys: pytest.CaptureFixture[str]) -> None:
    data = made("pictures", channels)
    asked = ["--data", data, "--set", f"in_channels={channels}", "--sheet-every", "1", "--out", "run"]
    result = answered(capsys, "train", *SHAPE, *asked)
    assert result["model"]["options"]["in_channels"] == channels
    assert Path("run/sheets/epoch-0001.png").is_file()
    assert json.loads(Path("run/config.json").read_text())["reading"]["channels"] == channels

    assert answered(capsys, "evaluate", "run")["error"] == result["test"]["error"]
    manifest = answered(capsys, "maps", "run", "pictures/test/dark", "--out", "maps")
    assert len(manifest["pictures"]) == 4
    assert manifest["skipped"] == []
    attacked = answered(capsys, "attack", "run", "--eps", "4", "--pictures", "1", "--out", "attacked")
    assert Path("attacked/attack.png").is_file()
    assert attacked["clean_error"] == result["test"]["error"]
    assert answered(capsys, "transfer", "run", "--data", data, "--folds", "2")["count"] == 8
    query = ["run", "pictures/test/dark/8.png", "pictures/test/bright", "--out", "asked"]
    assert len(answered(capsys, "query", *query)["pictures"]) == 4
    segmented = ["run", "--data", "pictures/test", "--masks", "masks", "--out", "segmented"]
    assert answered(capsys, "segment", *segmented)["count"] == 8


@pytest.mark.parametrize("kind", ["maps", "masks", "activations", "attack", "query"])
def test_figures(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of grey models they are drawn; of models of four bands a line says why not."""
    made("grey", 1), made("four", 4)
    for folder, channels in (("grey", 1), ("four", 4)):
        asked = ["--data", f"folder:{folder}", "--set", f"in_channels={channels}", "--out", f"run-{folder}"]
        answered(capsys, "train", *SHAPE, *asked)
    picture = ["--picture", "grey/test/dark/8.png", *(["--query", "grey/test/bright/9.png"] * (kind == "query"))]
    assert answered(capsys, "figure", kind, "run-grey", *picture, "--out", "grey.png")["figure"] == "grey.png"
    assert run(["figure", kind, "run-four", *picture, "--out", "four.png"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "channels, and 4 are asked for" in line
    assert not Path("four.png").exists()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["in_channels=2"], "pictures are read with 1 channel (grey), 3 (RGB) or 4 (four bands), not 2"),
        (["in_channels=0"], "in_channels is 0: images have 1 to 1024 channels"),
        (["in_channels=grey"], "in_channels is 'grey': it takes a whole number"),
        (["in_channels=1", "--set", "preprocessing=yuv_lcn"], "yuv_lcn is for the three channels of RGB"),
        (["in_channels=4"], "none of the 8 pictures of "),
    ],
)
def test_mistakes(options: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = made("pictures", 1)
    assert run(["train", *SHAPE, "--data", data, "--set", *options, "--out", "run"]) in (1, 2)
    assert line in capsys.readouterr().err.splitlines()[-1]
    assert not Path("run").exists()
