"""`maps` as its user meets it: what is written, by every method, and how mistakes are told."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from payattention import create_model, save
from payattention.cli.app import run
from payattention.explaining.methods import METHODS
from payattention.models import Classifier
from payattention.posthoc import METHODS as POSTHOC

CLASSES = ("cat", "dog", "a/b")


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks of three classes, and five pictures, four of them in folders of classes' names."""
    place = tmp_path_factory.mktemp("maps")
    for name in ("vgg_att2_concat_pc", "vgg_gap"):
        model = create_model(name, 3, 0.0625).eval()
        model.classes = CLASSES
        save(model, place / name)
    random = np.random.default_rng(0)
    for name in ("cat/0.png", "cat/1.jpg", "dog/0.png", "dog/far/2.png", "other/3.png"):
        file = place / "pictures" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (32, 40, 3), np.uint8)).save(file)
    return place


@pytest.fixture(autouse=True)
def _there(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    shutil.rmtree("out", ignore_errors=True)


def maps(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert run(["maps", "vgg_att2_concat_pc", *words, "--out", "out", "--json"]) == 0
    result: dict[str, object] = json.loads(capsys.readouterr().out)
    return result


def written() -> set[str]:
    return {str(path.relative_to("out")) for path in Path("out").rglob("*") if path.is_file()}


OVERLAYS = ("layer10", "layer13", "combined")


def test_by_default_a_sheet_and_a_folder_a_picture(capsys: pytest.CaptureFixture[str]) -> None:
    manifest = maps(capsys, "pictures")
    names = ("0", "1", "0-2", "2", "3")
    overlays = {f"pictures/{name}/{level}.png" for name in names for level in OVERLAYS}
    assert written() == {"manifest.json", "sheet.png", *overlays}
    pictures = manifest["pictures"]
    assert isinstance(pictures, list)
    assert [p["true_class"] for p in pictures] == ["cat", "cat", "dog", "dog", None]
    assert {file for p in pictures for file in p["files"].values()} == overlays
    assert manifest["sheets"] == ["sheet.png"]
    assert pictures[0]["grids"] == {"layer10": [16, 20], "layer13": [8, 10]}
    for file in overlays:
        with Image.open(Path("out", file)) as opened:
            assert opened.size == (40, 32)


@pytest.mark.parametrize(
    ("options", "there"),
    [
        ("--only sheet", {"sheet.png"}),
        ("--only sheet --format webp", {"sheet.webp"}),
        ("--only overlays --format jpg", {f"pictures/1/{level}.jpg" for level in OVERLAYS}),
        ("--only overlays --flat --style contour", {f"1.{level}.png" for level in OVERLAYS}),
        ("--only raw", {f"pictures/1/{name}" for name in ("layer10.npy", "layer13.npy", "mask.png", "numbers.json")}),
        (
            "--only raw,sheet --only overlays --flat --style dim",
            {"sheet.png", "1.json", "1.mask.png", "1.layer10.npy", "1.layer13.npy", *(f"1.{o}.png" for o in OVERLAYS)},
        ),
    ],
)
def test_only_what_is_asked_for(options: str, there: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    maps(capsys, "pictures/cat/1.jpg", *options.split())
    assert written() == {"manifest.json", *there}


@pytest.mark.parametrize("target", ["all", "dog", "2"])
def test_the_maps_of_a_class(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = maps(capsys, "pictures/cat", "--method", "grad_cam", "--target", target, "--only", "raw,sheet")
    wanted = {"all": set(CLASSES), "dog": {"dog"}, "2": {"a/b"}}[target]
    pictures = manifest["pictures"]
    assert isinstance(pictures, list)
    for picture in pictures:
        assert set(picture["targets"]) == wanted
        assert {key.split()[0] for key in picture["files"]} == wanted
        assert all(Path("out", file).is_file() for file in picture["files"].values())
    prefix = "a_b." if target == "all" else ""
    assert f"pictures/0/{prefix}layer10.npy" in written()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_draws_its_maps_or_says_why_not(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert method == "attention" or method in POSTHOC
    network = "vgg_gap" if method == "cam" else "vgg_att2_concat_pc"
    words = ["maps", network, "pictures/other/3.png", "--method", method, "--size", "16", "--out", "out"]
    status = run([*words, "--only", "sheet,raw"])
    printed = capsys.readouterr()
    if method in ("attention_rollout", "gradient_attention"):
        assert status == 2
        assert printed.err.count("\n") == 1
        assert not Path("out").exists()
        return
    assert status == 0, printed.err
    with Image.open("out/sheet.png") as sheet:
        assert sheet.width > 700
    arrays = list(Path("out").rglob("*.npy"))
    assert arrays
    assert all(np.isfinite(np.load(array)).all() for array in arrays)


def test_methods_are_known_before_pytorch_as_they_are_after() -> None:
    assert [*METHODS] == ["attention", *POSTHOC]


def test_a_picture_too_large_for_its_file_is_told_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (16_400, 2)).save(tmp_path / "long.png")
    words = ["maps", "vgg_att2_concat_pc", str(tmp_path / "long.png"), "--format", "webp", "--out", "out"]
    assert run(words) == 2
    assert "long.png: it is 16400x2, and a .webp file holds 16,383 pixels a side" in capsys.readouterr().err
    assert not Path("out").exists()


def test_what_is_right_is_said_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["maps", "vgg_att2_concat_pc", "pictures/cat", "--only", "raw", "--out", "out"]) == 0
    printed = capsys.readouterr().out
    assert " is " in printed
    assert printed.endswith("written to: out\n")
    assert run(["maps", "vgg_att2_concat_pc", "pictures/cat", "--only", "sheet", "--out", "out"]) == 2
    assert "out: this folder is not empty" in capsys.readouterr().err


def test_a_model_of_one_level_has_no_second_file_of_the_same_map(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["maps", "vgg_gap", "pictures/other", "--target", "all", "--out", "out"]) == 0
    assert {Path(name).name.count("combined") for name in written()} == {0}
    assert len(written()) == 3 + 2


def test_the_model_is_of_the_classes_that_folders_are_named_for(model: Classifier) -> None:
    from payattention.explaining.request import Request

    request = Request.of(model)
    assert request.true_class(Path("x/bird/1.png")) == "bird"
    assert request.true_class(Path("bird/2021/1.png")) == "bird"
    assert request.true_class(Path("bird/a/b/1.png")) is None
    assert request.true_class(Path("bird.png")) is None


def test_means_over_views(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a mirror image the map is the mirrored one, which it is not of a single look."""
    Image.open("pictures/cat/0.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save("mirrored.png")
    maps(capsys, "pictures/cat/0.png", "mirrored.png", "--only", "raw", "--average", "mirror,scales")
    one, other = (np.load(f"out/pictures/{name}/layer13.npy") for name in ("0", "mirrored"))
    assert one.shape == (10, 13)
    np.testing.assert_allclose(one, other[:, ::-1], rtol=0.02)
    words = ["maps", "vgg_att2_concat_pc", "mirrored.png", "--method", "grad_cam", "--average", "mirror"]
    assert run(words) == 2
    assert "leave it out, or the method 'grad_cam'" in capsys.readouterr().err


def test_maps_are_brought_to_edges(capsys: pytest.CaptureFixture[str]) -> None:
    manifest = maps(capsys, "pictures/cat/0.png", "--refine", "guided", "--only", "overlays,sheet")
    assert "brought to the picture's edges" in manifest["pictures"][0]["notes"]
    assert run(["maps", "vgg_att2_concat_pc", "pictures", "--refine", "guided", "--html", "page.html"]) == 2
    assert "--html draws the maps in the browser, as they are" in capsys.readouterr().err
    assert run(["maps", "vgg_att2_concat_pc", "pictures", "--refine", "edges"]) == 2
    assert "unknown refinement 'edges'; there are: guided" in capsys.readouterr().err
