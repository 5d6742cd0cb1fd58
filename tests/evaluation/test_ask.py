"""One picture asks another: maps under two queries, against the model itself, and against the proof of blindness."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import payattention as pa
from payattention.cli.app import run
from payattention.errors import UsageError
from payattention.evaluation.query import ask, is_blind, relative_change
from payattention.figures.query import query_sheet, shown_level
from payattention.models import Classifier
from payattention.pictures.drawing import CHANGE_MAP, overlay
from settling import settled


@pytest.fixture
def seeing() -> Classifier:
    model = settled(pa.create_model("vgg_att2_concat_dp", 3, 0.0625))
    model.classes = ("airplane", "automobile", "bird")
    return model


def noise(seed: int, height: int = 32, width: int = 48) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def pixels(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255


def test_relative_change_by_hand() -> None:
    own, asked = torch.tensor([0.2, 0.5, 0.0]), torch.tensor([0.3, 0.25, 0.0])
    torch.testing.assert_close(relative_change(own, asked), torch.tensor([0.5, -0.5, 0.0]))


@pytest.mark.float32
def test_an_answer_is_the_models_own(seeing: Classifier) -> None:
    """Query and target may be of different sizes."""
    query, target = noise(1, 32, 40), noise(2)
    answer = ask(seeing, query, target)
    with torch.no_grad():
        own, asked = seeing.attend(pixels(target)), seeing.attend(pixels(target), pixels(query))
    for name in seeing.levels:
        before, after = own.maps[name][0].numpy(), asked.maps[name][0].numpy()
        np.testing.assert_allclose(answer.own[name], before, atol=1e-6)
        np.testing.assert_allclose(answer.asked[name], after, atol=1e-6)
        np.testing.assert_allclose(answer.change[name], after / before - 1, atol=1e-3)
        assert answer.distance[name] == pytest.approx(np.abs(after - before).sum() / 2, abs=1e-5)
        assert answer.distance[name] > 1e-4
    assert answer.label == seeing.classes[int(own.logits.argmax())]
    assert answer.asked_label == seeing.classes[int(asked.logits.argmax())]


def test_a_pictures_own_query_changes_nothing(seeing: Classifier) -> None:
    answer = ask(seeing, noise(1), noise(1))
    assert all(np.abs(change).max() < 1e-4 for change in answer.change.values())
    assert answer.label == answer.asked_label


@pytest.mark.parametrize(
    ("name", "blind"),
    [("vgg_att2_concat_pc", True), ("vgg_att3_concat_dp", False), ("vgg_pan", False), ("resnet164_att_pc", True)],
)
def test_blindness(name: str, blind: bool) -> None:
    """As the proof has it (docs/the-query.md): under softmax, pc is blind; dp is not, nor is a sigmoid's map."""
    with torch.device("meta"):
        model = pa.create_model(name, 3, 0.0625)
    assert is_blind(model) == blind


@pytest.mark.float32
def test_to_the_blind_all_queries_are_one() -> None:
    model = settled(pa.create_model("vgg_att2_concat_pc", 3, 0.0625))
    answer = ask(model, noise(1), noise(2))
    assert max(answer.distance.values()) < 1e-5
    # and the sheet shows an even grey in place of a picture of rounding errors
    target = noise(2)
    sheet = query_sheet(noise(1), {"target": target}, {"pc": [answer]}, "layer10")
    grey = overlay(target, np.full((32, 48), 0.5, np.float32), colours=CHANGE_MAP)
    left = 8 + 4 * (160 + 8)
    shown = np.asarray(sheet.crop((left, 28, left + 160, 28 + 107)), np.int64)
    wanted = np.asarray(grey.resize((160, 107), Image.Resampling.BICUBIC), np.int64)
    assert np.abs(shown - wanted).max() <= 8  # scaled before the colours are laid on or after; a change is 40 and more


def test_a_sheet_has_three_columns_a_model(seeing: Classifier) -> None:
    targets = {"a": noise(2), "b": noise(3)}
    answers = [ask(seeing, noise(1), target) for target in targets.values()]
    sheet = query_sheet(noise(1), targets, {"one": answers, "two": answers}, "layer13")
    assert sheet.width == 8 + (2 + 2 * 3) * (160 + 8)
    assert sheet.height == 8 + 20 + 2 * (107 + 20 + 8)


def test_the_level_that_is_shown() -> None:
    two, three, one = (pa.create_model(f"vgg_att{k}", 3, 0.0625) for k in ("2_concat_dp", "3_concat_dp", "_dp"))
    assert [shown_level([model]) for model in (two, three, one)] == ["layer10", "layer10", "layer13"]
    assert shown_level([three], "layer7") == "layer7"
    with pytest.raises(UsageError, match="unknown level of vgg_att2_concat_dp 'layer7'"):
        shown_level([three, two], "layer7")


def test_who_cannot_be_asked() -> None:
    for name, told in (("vgg", "vgg has no query"), ("vgg_gap", "vgg_gap has no query")):
        with pytest.raises(UsageError, match=told):
            ask(pa.create_model(name, 3, 0.0625), noise(1), noise(2))
    slim = pa.prune(pa.create_model("vgg_att2_concat_pc", 3, 0.0625))
    with pytest.raises(UsageError, match="the query of this vgg_att2_concat_pc was pruned"):
        ask(slim, noise(1), noise(2))


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "targets").mkdir()
    noise(1).save("query.png")
    for k in range(2):
        noise(2 + k).save(f"targets/{k}.png")
    return tmp_path


def test_the_command(seeing: Classifier, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pa.save(seeing, pictures / "run")
    (pictures / "targets" / "half.png").write_bytes(b"\x89PNG")
    assert run(["query", "run", "query.png", "targets", "--out", "out", "--json"]) == 0
    printed = capsys.readouterr()
    manifest = json.loads(printed.out)
    assert manifest == {"out": "out", **json.loads(Path("out/manifest.json").read_text())}
    assert manifest["blind"] is False
    assert "no query can change" not in printed.err
    assert "left out: targets/half.png: not a picture" in printed.err
    assert len(manifest["pictures"]) == 2
    for name in seeing.levels:
        mean = np.mean([shown["distance"][name] for shown in manifest["pictures"]])
        assert manifest["distance"][name] == pytest.approx(mean, abs=1e-6)
    answer = ask(seeing, noise(1), noise(2))
    for what, file in manifest["pictures"][0]["files"].items():
        level, kind = what.split()
        np.testing.assert_allclose(np.load(Path("out", file)), getattr(answer, kind)[level], atol=1e-5)
    assert Path("out", manifest["sheet"]).is_file()


def test_the_command_tells_why_a_blind_model_does_not_answer(
    model: Classifier, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pa.save(model, pictures / "run")
    assert run(["query", "run", "query.png", "targets"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: no query can change")]
    assert len(told) == 1
    assert "the softmax over positions cancels it" in told[0]


@pytest.mark.parametrize(
    ("call", "told", "status"),
    [
        (["gone.png", "targets"], "gone.png: no such file", 1),
        (["query.png", "gone.png"], "gone.png: no such file", 1),
        (["query.png", "targets", "--level", "layer9"], "unknown level of vgg_att2_concat_dp 'layer9'", 2),
        (["query.png", "targets", "--size", "5"], "size is 5 pixels", 2),
    ],
)
def test_mistakes(
    call: list[str],
    told: str,
    status: int,
    seeing: Classifier,
    pictures: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pa.save(seeing, pictures / "run")
    assert run(["query", "run", *call]) == status
    printed = capsys.readouterr()
    assert told in printed.err
    assert not Path("runs").exists()


def test_the_readmes_advice_makes_a_run_that_can_be_asked(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """README: train what is to be asked with `compatibility=additive`, a frozen backbone with `scaled=false`, too."""
    for k in range(8):
        (pictures / "photos" / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        shade(k).save(f"photos/{'ab'[k % 2]}/{k}.png")
    shade(0).save("query.png")
    shade(1).save("targets/1.png")
    train = ["train", "--model", "timm:test_resnet", "--freeze", "--data", "folder:photos", "--image-size", "64"]
    moved = {}
    asking = ["--set", "compatibility=additive", "--set", "scaled=false"]
    for run_folder, options in (("plain", []), ("asking", asking)):
        assert run([*train, *options, "--epochs", "20", "--out", run_folder]) == 0
        capsys.readouterr()
        assert run(["query", run_folder, "query.png", "targets", "--json"]) == 0
        manifest = json.loads(capsys.readouterr().out)
        moved[run_folder] = (manifest["blind"], max(manifest["distance"].values()))
    assert moved["plain"][0]
    assert moved["plain"][1] < 1e-6
    assert not moved["asking"][0]
    assert moved["asking"][1] > 1e-4


def shade(number: int) -> Image.Image:
    """One of two kinds of picture: dark on the left, or bright red on the right."""
    pixels = np.random.default_rng(number).integers(0, 40, (64, 64, 3), np.uint8)
    pixels[:, 32:, 0] += np.uint8(200 * (number % 2))
    return Image.fromarray(pixels)
