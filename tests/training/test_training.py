"""Batches, schedules and the training loop."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from payattention.data import ImageSet
from payattention.errors import PayAttentionError, UsageError
from payattention.models import create_model
from payattention.runs.config import RunConfig
from payattention.runs.experiment import train_and_test
from payattention.training.augment import mirrored, resized, shifted
from payattention.training.batches import DeviceSet, Epoch
from payattention.training.fit import fit, new_model
from payattention.training.optimisation import create_optimizer, create_schedule, rate_of
from payattention.training.presets import list_recipes
from payattention.training.recipe import Recipe, load_recipe


def recipe(**fields: object) -> Recipe:
    return Recipe(**({"summary": "test", "epochs": 2, "batch_size": 8} | fields))


@pytest.fixture
def device_set(image_set: ImageSet) -> DeviceSet:
    return DeviceSet.of(image_set, torch.device("cpu"))


@settings(max_examples=30, deadline=None)
@given(st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 2**31))
def test_a_shift_is_a_reflecting_pad_and_a_crop(dy: int, dx: int, seed: int) -> None:
    images = torch.randint(0, 256, (2, 3, 6, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (3, 3), (3, 3)), mode="reflect")
    by_hand = padded[:, :, 3 - dy : 9 - dy, 3 - dx : 10 - dx]
    assert (shifted(images, torch.tensor([[dy, dx]] * 2)).numpy() == by_hand).all()


def test_only_the_chosen_images_are_mirrored() -> None:
    images = torch.arange(2 * 3 * 2 * 2, dtype=torch.uint8).view(2, 3, 2, 2)
    flipped = mirrored(images, torch.tensor([False, True]))
    assert (flipped[0] == images[0]).all()
    assert (flipped[1] == images[1, :, :, [1, 0]]).all()


def test_resizing_by_half_averages_and_keeps_the_range() -> None:
    images = torch.full((1, 3, 8, 8), 255, dtype=torch.uint8)
    assert resized(images, 1.0).shape == (1, 3, 8, 8)
    half = resized(images, 0.5)
    assert half.shape == (1, 3, 4, 4)
    torch.testing.assert_close(half, torch.ones(1, 3, 4, 4))


def test_an_epoch_shows_each_image_once_and_can_be_made_again(device_set: DeviceSet) -> None:
    plain = recipe(mirror=False)
    epoch = Epoch(device_set, plain, seed=3, number=1)
    batches = list(epoch)
    assert len(batches) == len(epoch) == 4
    seen = torch.cat([images for images, _ in batches]).flatten(1).sum(1).sort().values
    torch.testing.assert_close(seen, (device_set.images.float() / 255).flatten(1).sum(1).sort().values)
    for (images, labels), (images_2, labels_2) in zip(batches, Epoch(device_set, plain, 3, 1), strict=True):
        assert (images == images_2).all()
        assert (labels == labels_2).all()
    other = torch.cat([labels for _, labels in Epoch(device_set, plain, 3, 2)])
    assert (other != torch.cat([labels for _, labels in batches])).any()


def test_labels_stay_with_their_images(device_set: DeviceSet) -> None:
    """The two classes of the set differ in brightness, whatever augmentation does."""
    for images, labels in Epoch(device_set, recipe(shift=2, sizes=(0.5,)), 0, 0):
        assert ((images.mean((1, 2, 3)) > 0.5).long() == labels).all()


def test_digits_are_never_mirrored(image_set: ImageSet) -> None:
    images = image_set.images.copy()
    images[:, :, :16] = 0  # dark on the left
    digits = ImageSet("digits", "train", images, image_set.labels, image_set.classes, mirror=False)
    for batch, _ in Epoch(DeviceSet.of(digits, torch.device("cpu")), recipe(mirror=True), 0, 0):
        assert (batch[..., :16] == 0).all()


def test_sizes_take_equal_shares_of_the_epochs(device_set: DeviceSet) -> None:
    growing = recipe(epochs=6, sizes=(0.5, 0.75, 1.0))
    assert [Epoch(device_set, growing, 0, n).size for n in range(6)] == [0.5, 0.5, 0.75, 0.75, 1.0, 1.0]


@pytest.mark.parametrize("name", list_recipes())
@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 8, 13, 20])
def test_every_recipe_ends_at_full_size(name: str, epochs: int, device_set: DeviceSet) -> None:
    chosen = load_recipe(name, {"epochs": epochs})
    sizes = [Epoch(device_set, chosen, 0, n).size for n in range(epochs)]
    assert sizes[-1] == 1.0
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schedule", "cosine"), ("sizes", []), ("sizes", ["a"]), ("sizes", [2.0]), ("sizes", [True]), ("warmup", 1.0),
        ("step_epochs", 0),
        ("weight_decay", -1.0), ("lr", float("nan")), ("lr", 0.0), ("label_smoothing", 3.0), ("dropout", 7.0),
        ("batch_size", 1), ("momentum", -0.1), ("optimizer", "lion"),
    ],
)  # fmt: skip
def test_impossible_recipes_are_refused_before_anything_is_read(field: str, value: object) -> None:
    with pytest.raises(UsageError, match=field):
        recipe(**{field: value})


def test_nesterov_needs_plain_momentum() -> None:
    with pytest.raises(UsageError, match="nesterov needs"):
        recipe(nesterov=True, dampening=0.9)


def test_one_cycle_climbs_to_the_peak_and_falls_to_nothing() -> None:
    chosen = recipe(epochs=10, schedule="one_cycle", lr=0.4, warmup=0.2)
    optimizer = create_optimizer(torch.nn.Linear(1, 1), chosen)
    schedule = create_schedule(optimizer, chosen, steps_per_epoch=10)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    top = rates.index(max(rates))
    assert 18 <= top <= 21
    assert max(rates) == pytest.approx(0.4, rel=0.05)
    assert rates[0] < 0.03
    assert rates[-1] < 0.01
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def test_norms_and_biases_decay_only_if_the_recipe_says_so() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    matrices, vectors = create_optimizer(model, recipe(decay_all=False, weight_decay=0.1)).param_groups
    assert [p.ndim for p in matrices["params"]] == [2]
    assert matrices["weight_decay"] == 0.1
    assert [p.ndim for p in vectors["params"]] == [1, 1, 1]
    assert vectors["weight_decay"] == 0.0


def test_every_preset_loads_and_wrong_fields_are_named() -> None:
    for name in list_recipes():
        assert load_recipe(name).summary
    assert load_recipe("paper", {"epochs": 3}).epochs == 3
    with pytest.raises(UsageError, match="unknown recipe 'papr'; did you mean 'paper'"):
        load_recipe("papr")
    with pytest.raises(UsageError, match="unknown recipe field 'learning_rate'"):
        load_recipe("paper", {"learning_rate": 1})
    with pytest.raises(UsageError, match="epochs is 0"):
        load_recipe("paper", {"epochs": 0})
    with pytest.raises(UsageError, match="epochs is 'many': a whole number is needed"):
        load_recipe("paper", {"epochs": "many"})


def test_training_learns_and_repeats_bit_by_bit(image_set: ImageSet, tmp_path: Path) -> None:
    chosen = recipe(epochs=8, lr=0.05, dropout=0.2, shift=1)
    states = []
    for k in range(2):
        model = new_model("vgg_att2_concat_pc", image_set, chosen, width=0.0625, seed=5)
        curve = fit(model, image_set, chosen, out=tmp_path / str(k), seed=5)
        states.append(model.state_dict())
    assert curve[-1]["loss"] < curve[0]["loss"]
    assert curve[-1]["train_error"] < 25
    assert len((tmp_path / "0" / "metrics.jsonl").read_text().splitlines()) == 8
    assert not model.training
    for name in states[0]:
        assert (states[0][name] == states[1][name]).all(), name


def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_nothing(image_set: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(PayAttentionError, match=r"no longer finite at step \d+, in epoch \d .*try a lower rate"):
        train_and_test(RunConfig("vgg", recipe(lr=1e6, epochs=6), width=0.0625), image_set, image_set, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_failure_before_the_first_snapshot_leaves_a_folder_as_it_was(image_set: ImageSet, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    for _ in range(2):
        with pytest.raises(UsageError, match="shift is 32 pixels"):
            train_and_test(RunConfig("vgg", recipe(shift=32), width=0.0625), image_set, image_set, tmp_path)
        assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_ctrl_c_stops_the_run_and_leaves_nothing(
    image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("payattention.training.objective.Objective.forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_and_test(RunConfig("vgg", recipe(), width=0.0625), image_set, image_set, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_images_that_the_recipe_makes_too_small_are_refused_before_training(
    image_set: ImageSet, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"32 pixels wide, and the recipe shrinks them to 8.*takes 16 at least"):
        train_and_test(
            RunConfig("vgg", recipe(sizes=(0.25, 1.0)), width=0.0625), image_set, image_set, tmp_path / "run"
        )
    assert not (tmp_path / "run").exists()


def test_the_rate_in_the_metrics_is_the_one_that_was_trained_with(image_set: ImageSet, tmp_path: Path) -> None:
    chosen = recipe(lr=0.08, schedule="steps", step_epochs=1, step_factor=0.5)
    model = new_model("vgg", image_set, chosen, width=0.0625)
    assert [line["lr"] for line in fit(model, image_set, chosen, out=tmp_path)] == [0.08, 0.04]


@pytest.mark.parametrize("name", ["timm:resnet10t", "vgg_att2_concat_pc", "resnet164_att_pc"])
@pytest.mark.parametrize("kind", ["sgd", "muon", "adamw"])
def test_the_rate_is_what_the_last_layers_have(name: str, kind: str) -> None:
    chosen = recipe(lr=0.08, layer_decay=0.5, schedule="steps", step_epochs=1, step_factor=0.5, optimizer=kind)
    width = 1.0 if name.startswith("timm:") else 0.0625
    optimizer = create_optimizer(create_model(name, 3, width), chosen)
    schedule = create_schedule(optimizer, chosen, 1)
    assert min(group["lr"] for group in optimizer.param_groups) < 0.08
    assert rate_of(optimizer) == 0.08
    optimizer.step()
    schedule.step()
    assert rate_of(optimizer) == 0.04


def test_a_new_model_knows_its_data(image_set: ImageSet) -> None:
    model = new_model("vgg", image_set, recipe(), width=0.0625)
    assert model.classes == ("dark", "bright")
    assert model.image_size == 32
    pixels = image_set.images / 255
    np.testing.assert_allclose(model.preprocessing.mean.flatten(), pixels.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(model.preprocessing.std.flatten(), pixels.std((0, 1, 2)), rtol=1e-5)
