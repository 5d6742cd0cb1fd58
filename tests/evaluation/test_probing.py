"""Probing: k-NN by a plain loop, features kept against training as usual, and the table from end to end."""

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import Tensor

import payattention as pa
from payattention.cli.app import run
from payattention.data import ImageSet
from payattention.errors import DataError, UsageError
from payattention.evaluation.probing import METHODS, Probe, ProbeConfig, probe
from payattention.evaluation.probing.pooled import NEIGHBOURS, TEMPERATURE, LinearProbe, nearest
from payattention.evaluation.probing.table import quality
from payattention.models.timm_backbones.whole_trunk import CLASS_TOKEN, MEAN
from payattention.runs.config import RunConfig
from payattention.runs.experiment import train_and_test
from payattention.training.features import FeatureSet
from payattention.training.recipe import load_recipe

RECIPE = load_recipe("probe", {"epochs": 2, "batch_size": 8})
NETWORK = "timm:test_resnet"


def pooled_features(count: int, *names: str) -> FeatureSet:
    features = {name: torch.randn(1, count, 5, 1, 1) for name in names}
    return FeatureSet(features, torch.arange(count) % 3)


def voted(train: Tensor, labels: Tensor, asked: Tensor) -> int:
    """The class that the nearest vote for, of features (n, d) and one more (d,)."""
    cosines = [float(known @ asked / known.norm() / asked.norm()) for known in train]
    votes = Counter[int]()
    for number in sorted(range(len(cosines)), key=lambda n: -cosines[n])[:NEIGHBOURS]:
        votes[int(labels[number])] += math.exp(cosines[number] / TEMPERATURE)
    return votes.most_common(1)[0][0]


@pytest.mark.parametrize("names", [(MEAN,), (MEAN, CLASS_TOKEN)])
@pytest.mark.parametrize("count", [7, 60])
def test_neighbours_are_those_of_a_plain_loop(names: tuple[str, ...], count: int) -> None:
    train, test = pooled_features(count, *names), pooled_features(30, *names)
    known, asked = (part.features[names[-1]][0, :, :, 0, 0] for part in (train, test))
    expected = [voted(known, train.labels, one) for one in asked]
    assert len(set(expected)) > 1
    assert nearest(train, test).tolist() == expected


def test_the_linear_probe_is_blind_to_the_scale_of_features() -> None:
    network = LinearProbe({CLASS_TOKEN: 5, MEAN: 5}, 3)
    features = {name: torch.randn(16, 5, 1, 1) for name in (CLASS_TOKEN, MEAN)}
    larger = {name: 1000 * values for name, values in features.items()}
    torch.testing.assert_close(network(features), network(larger), atol=1e-4, rtol=1e-4)


@pytest.fixture
def hard() -> ImageSet:
    """40 pictures of three classes that differ in brightness, a little."""
    random, labels = np.random.default_rng(0), np.arange(40) % 3
    pictures = random.integers(0, 160, (40, 32, 32, 3)) + 25 * labels[:, None, None, None]
    return ImageSet("hard", "train", pictures.astype(np.uint8), labels.astype(np.int64), ("a", "b", "c"))


@pytest.mark.float32
def test_a_row_is_what_train_would_make(hard: ImageSet, tmp_path: Path) -> None:
    config = ProbeConfig(NETWORK, ("live",), {"levels": 1}, 4, RECIPE, seed=3)
    (row,) = probe(config, hard, hard, folder=tmp_path).rows
    assert row.settings is not None
    options = {**row.settings, "freeze": True}
    _, result = train_and_test(RunConfig(NETWORK, RECIPE, options=options, seed=3), hard, hard, tmp_path / "run")
    assert row.accuracy == pytest.approx(100 - result["test"]["error"])
    assert 0 < row.accuracy < 100


def test_the_table_holds_every_method(image_set: ImageSet, tmp_path: Path) -> None:
    recipe = replace(RECIPE, border_penalty=0.1)  # of what has maps
    config = ProbeConfig("test_resnet", options={"levels": 2}, queries=2, recipe=recipe)
    result = probe(config, image_set, image_set, folder=tmp_path)
    assert [row.method for row in result.rows] == list(METHODS)
    assert not list(tmp_path.iterdir())
    rows = {row.method: row for row in result.rows}
    model = pa.attach("test_resnet", 2)
    wide = model.trunk.query_dim
    assert rows["knn"].parameters == 0
    assert rows["linear"].parameters == 2 * (wide + 1)
    assert rows["pc"].parameters < sum(p.numel() for name, p in model.named_parameters() if "backbone" not in name)
    assert rows["efficient"].parameters < rows["live"].parameters
    for row in result.rows:
        assert row.accuracy == 100  # the two classes differ in brightness
        assert (row.maps is None) == (row.method in ("knn", "linear"))
    text = str(result)
    assert "efficient probing, k = 2" in text
    assert "levels=2, compatibility=local, queries=2" in text
    assert "32 pictures of noise, train" in text


def test_maps_are_measured_on_another_set(hard: ImageSet, image_set: ImageSet, tmp_path: Path) -> None:
    assert image_set.masks is not None
    masked = replace(image_set, masks=image_set.masks & (image_set.labels == 0)[:, None, None])
    result: Probe = probe(ProbeConfig(NETWORK, ("pc",), recipe=RECIPE), hard, hard, folder=tmp_path, masked=masked)
    assert result.maps_count == 16
    assert result.trivial["all ones"].average_precision == pytest.approx(100 / 16)
    with pytest.raises(UsageError, match="hard has no object masks"):
        probe(ProbeConfig(NETWORK, ("pc",), recipe=RECIPE), hard, hard, folder=tmp_path, masked=hard)


def test_the_quality_of_a_perfect_map(image_set: ImageSet) -> None:
    assert image_set.masks is not None
    found = quality(torch.from_numpy(image_set.masks).float(), image_set)
    assert (found.average_precision, found.pointing) == (100, 100)


def test_features_that_are_no_numbers(hard: ImageSet, tmp_path: Path) -> None:
    weights = timm.create_model("test_resnet").state_dict()
    broken = {name: value * torch.nan if value.is_floating_point() else value for name, value in weights.items()}
    torch.save(broken, tmp_path / "nan.pt")
    config = ProbeConfig(NETWORK, ("knn",), {"weights": str(tmp_path / "nan.pt")})
    with pytest.raises(DataError, match="the features of timm:test_resnet are not finite"):
        probe(config, hard, hard, folder=tmp_path)


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two classes, four pictures each to train on and to test on, in the folder one is in."""
    monkeypatch.chdir(tmp_path)
    for number in range(16):
        split, name = ("train", "test")[number % 2], ("dark", "bright")[number // 2 % 2]
        file = tmp_path / "pictures" / split / name / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (number, number, 200 * (name == "bright"))).save(file)
    return tmp_path / "pictures"


COMMON = "--no-pretrained --data folder:pictures --image-size 32 --epochs 1"


def test_the_verb_from_end_to_end(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ["--methods", "knn, linear, efficient", "--queries", "4", "--set", "levels=1"]
    assert run(["probe", "timm:test_vit", *COMMON.split(), *chosen, "--out", "out", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result.pop("out") == "out"
    assert result == json.loads(Path("out/probe.json").read_text(encoding="utf-8"))
    assert [row["method"] for row in result["rows"]] == ["knn", "linear", "efficient"]
    assert result["rows"][2]["settings"] == {"levels": 1, "compatibility": "local", "queries": 4}
    assert result["rows"][1]["parameters"] == 2 * (2 * 64 + 1)  # the class token beside the mean
    assert (result["trained_on"], result["count"], result["maps_of"]) == (8, 8, "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("test_vitt", "unknown timm backbone 'test_vitt'; did you mean 'test_vit'"),
        ("test_vit --methods knn,dpp", "unknown way to read features 'dpp'; did you mean 'dp'"),
        ("test_vit --set compatibility=dp", "compatibility is what the rows differ in"),
        ("test_vit --set lvels=1", "unknown option of timm:test_vit 'lvels'; did you mean 'levels'"),
        ("test_vit --queries 7", "queries is 7: they share the channels of a level equally"),
        ("test_vit --masks cifar10", "cifar10 has no object masks"),
        ("test_vit --weights none.pt", "--weights none.pt: no such file"),
        ("test_vit --recipe modern", "take the recipe 'probe'"),
        ("test_vit --out pictures", "pictures: this folder is not empty"),
    ],
)
def test_a_mistake_is_one_line(pictures: Path, words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["probe", *words.split(), *COMMON.split()]) in (1, 2)
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path("runs").exists()
