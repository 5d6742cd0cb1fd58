"""Training on a frozen backbone's features, and training a backbone layer by layer."""

from pathlib import Path

import pytest
import torch
from torch import nn

import payattention as pa
from payattention.attention.maps import upsampled
from payattention.cli.app import run
from payattention.data import ImageSet
from payattention.data.tensors import images_of
from payattention.errors import DataError, UsageError
from payattention.evaluation import classify
from payattention.system.processes import Processes
from payattention.training import feature_shards, features
from payattention.training.features import FeatureClassifier, FeatureSet, trunk_of
from payattention.training.fit import fit, new_model
from payattention.training.optimisation import create_optimizer
from payattention.training.recipe import load_recipe

CPU = torch.device("cpu")
NAME = "timm:resnet10t"


@pytest.fixture
def frozen() -> pa.Classifier:
    return pa.create_model(NAME, 2, freeze=True, levels=2).eval()


@pytest.mark.float32
@pytest.mark.parametrize("mirrored", [False, True])
def test_kept_features_give_the_models_own_logits(
    frozen: pa.Classifier, image_set: ImageSet, tmp_path: Path, mirrored: bool
) -> None:
    kept = FeatureSet.of(frozen, image_set, CPU, tmp_path / "f", mirrored=mirrored, dtype=torch.float32)
    images = images_of(image_set, slice(None), CPU)
    for copy, seen in enumerate([images, images.flip(3)][: 1 + mirrored]):
        found = {name: values[copy] for name, values in kept.features.items()}
        torch.testing.assert_close(FeatureClassifier(frozen)(found), frozen(seen))


def test_features_on_disk_are_those_in_memory(
    frozen: pa.Classifier, image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same batches, in the same order in memory; the last shard has fewer pictures than the others."""
    folder = tmp_path / "features"
    in_batches_of_five(monkeypatch)
    in_memory = FeatureSet.of(frozen, image_set, CPU, folder, mirrored=True)
    assert not folder.exists()
    on_disk = sharded(frozen, image_set, folder, monkeypatch)
    assert len([*folder.glob("*/*.bin")]) == 4
    sizes = sum(file.stat().st_size for file in folder.glob("*/*.bin"))
    assert sizes == sum(values.numel() * 2 for values in in_memory.features.values())
    for name, values in in_memory.features.items():
        assert on_disk.features[name].shape == values.shape
        assert torch.equal(on_disk.in_memory()[name], values)
    assert in_memory.is_finite
    assert on_disk.is_finite
    recipe = load_recipe("probe", {"batch_size": 8})
    two = (kept.epoch(recipe, 5, 1, 1, Processes(1, 2)) for kept in (in_memory, on_disk))
    for (one, labels), (other, same) in zip(*two, strict=True):
        assert torch.equal(labels, same)
        for name, values in one.items():
            assert torch.equal(other[name], values)
            assert other[name].stride() == values.stride()


def test_shards_that_are_whole_are_not_made_again(
    frozen: pa.Classifier, image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a kill in the third; one of the others was damaged since. Another backbone's are of no use."""
    folder, seen = tmp_path / "features", []
    original = features._run

    def noted(model: pa.Classifier, images: torch.Tensor) -> dict[str, torch.Tensor]:
        seen.append(len(images))
        if sum(seen) > 60:
            raise KeyboardInterrupt
        return original(model, images)

    with monkeypatch.context() as patch:
        patch.setattr(features, "_run", noted)
        with pytest.raises(KeyboardInterrupt):
            sharded(frozen, image_set, folder, monkeypatch)
    first, second = sorted(folder.glob("*/*.bin"))
    kept = second.stat().st_mtime_ns
    first.write_bytes(bytes(first.stat().st_size))
    seen.clear()
    with monkeypatch.context() as patch:
        patch.setattr(features, "_run", lambda model, images: seen.append(len(images)) or original(model, images))
        whole = sharded(frozen, image_set, folder, monkeypatch)
    assert sum(seen) == 5 + 2 * (10 + 10 + 2)  # a first batch for the shapes, then all but the second shard, twice
    assert second.stat().st_mtime_ns == kept
    again = sharded(frozen, image_set, tmp_path / "other", monkeypatch)
    assert all(torch.equal(values, again.in_memory()[name]) for name, values in whole.in_memory().items())
    other = pa.create_model(NAME, 2, freeze=True, levels=2)
    torch.nn.init.normal_(other.trunk.backbone.conv1[0].weight)
    sharded(other, image_set, folder, monkeypatch)
    assert not second.exists()


def in_batches_of_five(monkeypatch: pytest.MonkeyPatch) -> None:
    """The backbone's: another number gives other roundings."""
    monkeypatch.setattr(features, "slices_of", lambda *_: [slice(k, min(k + 5, 32)) for k in range(0, 32, 5)])


def sharded(model: pa.Classifier, data: ImageSet, folder: Path, monkeypatch: pytest.MonkeyPatch) -> FeatureSet:
    """Features for which memory has no room, with mirror images, ten pictures' a shard."""
    monkeypatch.setattr(features, "fits", lambda needed: False)
    in_batches_of_five(monkeypatch)
    each = 2 * sum(values[0].numel() * 2 for values in trunk_of(model).features(torch.rand(1, 3, 32, 32)).values())
    monkeypatch.setattr(feature_shards, "SHARD", 10 * each)
    return FeatureSet.of(model, data, CPU, folder, mirrored=True)


def test_features_that_fit_nowhere(
    frozen: pa.Classifier, image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "fits", lambda needed: False)
    monkeypatch.setattr(feature_shards.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(DataError, match=r"GiB.*--image-size"):
        FeatureSet.of(frozen, image_set, CPU, tmp_path / "f")


def test_an_epoch_shows_each_picture_once_and_is_repeatable(
    frozen: pa.Classifier, image_set: ImageSet, tmp_path: Path
) -> None:
    kept = FeatureSet.of(frozen, image_set, CPU, tmp_path / "f", mirrored=True)
    numbered = FeatureSet(kept.features, torch.arange(len(kept)))
    recipe = load_recipe("probe", {"batch_size": 8})
    batches = list(numbered.epoch(recipe, seed=1, number=2))
    again = list(numbered.epoch(recipe, seed=1, number=2))
    assert sorted(torch.cat([labels for _, labels in batches]).tolist()) == list(range(32))
    level = frozen.levels[0]
    both = {0: 0, 1: 0}
    for (found, labels), (same, _) in zip(batches, again, strict=True):
        assert torch.equal(found[level], same[level])
        for values, label in zip(found[level], labels, strict=True):
            copies = [torch.equal(values, kept.features[level][copy, label].float()) for copy in (0, 1)]
            assert any(copies)
            both[copies.index(True)] += 1
    assert min(both.values()) > 0


def test_training_on_features_learns_and_leaves_the_backbone_alone(image_set: ImageSet, tmp_path: Path) -> None:
    recipe = load_recipe("probe", {"epochs": 4, "batch_size": 8})
    model = new_model(NAME, image_set, recipe, freeze=True, levels=1)
    before = {name: tensor.clone() for name, tensor in model.trunk.backbone.state_dict().items()}
    mean = model.preprocessing.mean.clone()
    curve = fit(model, image_set, recipe, out=tmp_path)
    assert len(curve) == 4
    assert classify(model, image_set).error == 0
    for name, tensor in model.trunk.backbone.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert torch.equal(model.preprocessing.mean, mean)  # the backbone's own, not this set's
    assert not (tmp_path / "features").exists()


def test_attention_starts_where_the_last_levels_features_are_strong(image_set: ImageSet) -> None:
    """By the recipe alone: each fresh map is the last level's strength on its grid, but for a score near 0."""
    model = new_model(NAME, image_set, load_recipe("probe"), freeze=True).eval()
    images = images_of(image_set, slice(4), CPU)
    with torch.no_grad():
        local = model.trunk(model.prepared(images)).local
        maps = model.attend(images).maps
    strength = local[model.levels[-1]].square().mean(1).sqrt()  # (n, h, w)
    for name in model.levels:
        expected = upsampled(strength, (maps[name].shape[1], maps[name].shape[2]))
        expected = expected / expected.sum((1, 2), keepdim=True)
        torch.testing.assert_close(maps[name] / expected, torch.ones_like(expected), rtol=0, atol=0.3)


def test_what_is_asked_for_goes_before_the_recipes_prior(image_set: ImageSet) -> None:
    recipe = load_recipe("probe")
    assert new_model(NAME, image_set, recipe, freeze=True).config.options["prior"] == "deep_strength"
    papers = new_model(NAME, image_set, recipe, freeze=True, prior="none", scaled=False)
    assert not any("tau" in name for name in papers.state_dict())


def test_a_recipe_that_moves_the_pictures_does_not_suit_a_frozen_backbone(image_set: ImageSet) -> None:
    with pytest.raises(UsageError, match="recipe 'probe'"):
        new_model(NAME, image_set, load_recipe("modern"), freeze=True)


class TestLayerDecay:
    def test_rates_rise_from_the_first_layer_to_the_head(self) -> None:
        recipe = load_recipe("finetune")
        model = pa.create_model(NAME, 2)
        optimizer = create_optimizer(model, recipe)
        rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        backbone = model.trunk.backbone
        of_stages = [rate[id(next(getattr(backbone, f"layer{k}").parameters()))] for k in (1, 2, 3, 4)]
        assert rate[id(next(backbone.conv1.parameters()))] < of_stages[0]
        assert of_stages == sorted(set(of_stages))
        assert of_stages[-1] <= recipe.lr == rate[id(model.head.classifier.weight)]
        assert len(rate) == len(list(model.parameters()))

    @pytest.mark.parametrize(
        ("name", "blocks"),
        [
            ("vgg_att2_concat_pc", [(1, 2), (3, 4), (5, 6, 7), (8, 9, 10), (11, 12, 13), (14, 15)]),
            ("vgg", [(1, 2), (3, 4), (5, 6, 7), (8, 9, 10), (11, 12, 13)]),
        ],
    )
    def test_of_vgg_they_rise_from_block_to_block(self, name: str, blocks: list[tuple[int, ...]]) -> None:
        recipe = load_recipe("finetune")
        model = pa.create_model(name, 2, 0.0625)
        groups = create_optimizer(model, recipe).param_groups
        rate = {id(p): group["lr"] for group in groups for p in group["params"]}
        expected = {
            f"trunk.layers.conv{number}": recipe.lr * 0.75**distance
            for distance, block in enumerate(reversed(blocks))
            for number in block
        }
        for parameter, p in model.named_parameters():
            layer = parameter.rsplit(".", 2)[0]
            assert rate[id(p)] == pytest.approx(expected.get(layer, recipe.lr)), parameter
        assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))

    def test_of_a_resnet_they_rise_from_stage_to_stage(self) -> None:
        model = pa.create_model("resnet164_att_pc", 2, 0.0625)
        rate = {
            id(p): group["lr"]
            for group in create_optimizer(model, load_recipe("finetune")).param_groups
            for p in group["params"]
        }
        layers = [model.trunk.conv1, *model.trunk.stages.values(), model.head]
        found = [rate[id(p)] / 5e-4 for layer in layers for p in [next(layer.parameters())]]
        assert found == pytest.approx([0.75**3, 0.75**2, 0.75, 1.0, 1.0])
        assert len(rate) == len(list(model.parameters()))

    def test_it_needs_a_trunk(self) -> None:
        with pytest.raises(UsageError, match="layer_decay is for a network with a trunk"):
            create_optimizer(nn.Linear(1, 1), load_recipe("finetune"))


def test_from_the_command_line(image_set: ImageSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    for k, (pixels, label) in enumerate(zip(image_set.images, image_set.labels, strict=True)):
        folder = tmp_path / "data" / image_set.classes[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{k:02d}.png")
    data, out = f"folder:{tmp_path / 'data'}", str(tmp_path / "run")
    common = ["train", "--model", NAME, "--data", data, "--epochs", "1", "--image-size", "64"]
    assert run([*common, "--freeze", "--out", out, "--json", "--set", "levels=1"]) == 0
    assert '"freeze": true' in capsys.readouterr().out
    assert run(["evaluate", out, "--json"]) == 0

    assert run([*common, "--out", out + "-tuned", "--json", "--set", "levels=1"]) == 0  # by finetune: nothing frozen
    assert run(["evaluate", out + "-tuned", "--json"]) == 0
    torch.manual_seed(0)
    fresh = pa.create_model(NAME, 2, levels=1).trunk.backbone.state_dict()
    tuned = pa.load(out + "-tuned").trunk.backbone.state_dict()
    moved = {name for name, values in tuned.items() if not torch.equal(values, fresh[name])}
    assert {"conv1.0.weight", "layer4.0.conv1.weight"} <= moved  # from the first layer to the last

    assert run([*common, "--freeze", "--recipe", "modern", "--out", out + "2"]) == 2
    assert "recipe 'probe'" in capsys.readouterr().err
    for flag in ("--freeze", "--pretrained"):
        assert run(["train", flag, "--out", out + "2"]) == 2
        assert f"{flag} is for timm's backbones" in capsys.readouterr().err
