"""Augmentation against explicit loops, and what a recipe makes of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from payattention.cli.app import run
from payattention.data import ImageSet
from payattention.errors import UsageError
from payattention.training.augment import (
    a_random_half,
    alternating,
    cut_out,
    shifted,
    shifted_onto_black,
)
from payattention.training.batches import DeviceSet, Epoch
from payattention.training.presets import list_recipes
from payattention.training.recipe import Recipe, load_recipe

SEEDS = st.integers(0, 2**31)


def recipe(**fields: object) -> Recipe:
    return Recipe(**({"summary": "test", "epochs": 4, "batch_size": 8} | fields))  # type: ignore[arg-type]


def noise(count: int, seed: int, height: int = 6, width: int = 7) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(1, 256, (count, 3, height, width), dtype=torch.uint8, generator=random)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, reach=st.integers(0, 5))
def test_crops_are_those_of_a_loop(seed: int, reach: int) -> None:
    images = noise(3, seed)
    offsets = torch.from_numpy(np.random.default_rng(seed).integers(-reach, reach + 1, (3, 2)))
    for crop, mode in ((shifted, "reflect"), (shifted_onto_black, "constant")):
        for image, offset, out in zip(images.numpy(), offsets.tolist(), crop(images, offsets), strict=True):
            padded = np.pad(image, ((0, 0), (reach, reach), (reach, reach)), mode=mode)
            top, left = reach - offset[0], reach - offset[1]
            assert (out.numpy() == padded[:, top : top + 6, left : left + 7]).all()


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, side=st.integers(1, 9))
def test_a_hidden_square_is_that_of_a_loop(seed: int, side: int) -> None:
    images = noise(3, seed)
    random = np.random.default_rng(seed)
    centres = torch.from_numpy(np.stack([random.integers(6, size=3), random.integers(7, size=3)], 1))
    by_hand = images.clone()
    colour = images.float().mean((0, 2, 3)).round().to(torch.uint8)
    for image, (y, x) in zip(by_hand, centres.tolist(), strict=True):
        top, left = y - side // 2, x - side // 2
        image[:, max(0, top) : top + side, max(0, left) : left + side] = colour[:, None, None]
    assert (cut_out(images, centres, side) == by_hand).all()


@given(count=st.integers(1, 50), seed=SEEDS)
def test_half_is_exactly_half(count: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    assert a_random_half(count, random).sum() == count // 2


@given(epoch=st.integers(0, 9), seed=SEEDS)
def test_alternating_shows_each_image_both_ways_in_any_two_epochs(epoch: int, seed: int) -> None:
    now, then = (alternating(40, number, torch.Generator().manual_seed(seed)) for number in (epoch, epoch + 1))
    assert (now != then).all()
    assert 5 < now.sum() < 35


def sided(count: int, mirror: bool = True) -> DeviceSet:
    """Images that tell their number and whether they were mirrored."""
    images = np.zeros((count, 8, 8, 3), np.uint8)
    images[:, :, 0, 0] = 255
    images[..., 1] = np.arange(count)[:, None, None]
    data = ImageSet("sided", "train", images, np.arange(count) % 2, ("even", "odd"), mirror=mirror)
    return DeviceSet.of(data, torch.device("cpu"))


def seen(data: DeviceSet, chosen: Recipe, number: int) -> list[dict[int, bool]]:
    """By batch: whether each image was mirrored."""
    return [
        {round(image[1, 0, 0].item() * 255): bool(image[0, 0, -1] == 1) for image in images}
        for images, _ in Epoch(data, chosen, seed=1, number=number)
    ]


def test_half_of_each_batch_is_mirrored() -> None:
    batches = seen(sided(64), recipe(flips="half"), 0)
    assert [sum(batch.values()) for batch in batches] == [4] * 8


def test_an_alternating_epoch_mirrors_what_the_last_did_not() -> None:
    first, second, third = (
        {
            image: mirrored
            for batch in seen(sided(64), recipe(flips="alternating"), number)
            for image, mirrored in batch.items()
        }
        for number in range(3)
    )
    assert len(first) == len(second) == 64
    assert all(first[image] != second[image] for image in first)
    assert first == third


@pytest.mark.parametrize("flips", ["random", "half", "alternating"])
def test_digits_are_never_mirrored(flips: str) -> None:
    for data, chosen in (
        (sided(16, mirror=False), recipe(flips=flips)),
        (sided(16), recipe(flips=flips, mirror=False)),
    ):
        assert not any(any(batch.values()) for number in range(2) for batch in seen(data, chosen, number))


@pytest.mark.parametrize("flips", ["random", "half", "alternating"])
def test_a_recipe_can_mirror_digits(flips: str) -> None:
    """As the authors' scripts do: the same images that would be mirrored of a set that allows it."""
    digits, chosen = sided(16, mirror=False), recipe(flips=flips, mirror_all=True)
    assert seen(digits, chosen, 0) == seen(sided(16), chosen, 0)
    assert any(any(batch.values()) for batch in seen(digits, chosen, 0))
    assert not any(any(batch.values()) for batch in seen(digits, recipe(mirror=False, mirror_all=True), 0))


def test_crops_and_squares_are_drawn_for_each_image() -> None:
    white = np.full((16, 8, 8, 3), 255, np.uint8)
    data = DeviceSet.of(ImageSet("white", "train", white, np.arange(16) % 2, ("a", "b")), torch.device("cpu"))
    images, _ = next(iter(Epoch(data, recipe(batch_size=16, shift=3, border="zero"), 0, 0)))
    assert len({image.numpy().tobytes() for image in images}) > 8
    reflected, _ = next(iter(Epoch(data, recipe(batch_size=16, shift=3), 0, 0)))
    assert (reflected == 1).all()
    half_black = white.copy()
    half_black[:, :4] = 0
    data = DeviceSet.of(ImageSet("half", "train", half_black, np.arange(16) % 2, ("a", "b")), torch.device("cpu"))
    images, _ = next(iter(Epoch(data, recipe(batch_size=16, cutout=3), 0, 0)))
    hidden = ((images > 0.1) & (images < 0.9))[:, 0]
    assert len({mask.numpy().tobytes() for mask in hidden}) > 8
    assert hidden.flatten(1).sum(1).max() == 9


def test_balanced_sampling_shows_rare_classes_as_often() -> None:
    labels = np.repeat([0, 1, 2], [900, 90, 10])
    data = ImageSet("long-tailed", "train", np.zeros((1000, 8, 8, 3), np.uint8), labels, ("a", "b", "c", "none"))
    device_set = DeviceSet.of(data, torch.device("cpu"))
    epochs = [Epoch(device_set, recipe(sampling="balanced", batch_size=100), 0, number) for number in range(4)]
    drawn = [torch.cat([labels for _, labels in epoch]) for epoch in epochs]
    assert [len(labels) for labels in drawn] == [1000] * 4
    counts = torch.cat(drawn).bincount(minlength=4)
    assert (abs(counts[:3] - 4000 / 3) < 5 * 30).all()  # the deviation of a binomial count is 30
    assert counts[3] == 0
    assert (drawn[0] != drawn[1]).any()
    assert (torch.cat([labels for _, labels in epochs[0]]) == drawn[0]).all()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"flips": "halve"}, "did you mean 'half'"),
        ({"border": "mirror"}, "unknown border"),
        ({"sampling": "balance"}, "did you mean 'balanced'"),
        ({"cutout": -1}, "cutout is -1: it lies between 0"),
        ({"shift": -1}, "shift is -1: it lies between 0"),
    ],
)
def test_a_wrong_field_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        recipe(**fields)


def test_a_shift_beyond_the_image_is_refused() -> None:
    with pytest.raises(UsageError, match="below the images' 8"):
        Epoch(sided(16), recipe(shift=8), 0, 0)


def test_only_the_authors_scripts_mirror_digits() -> None:
    assert [name for name in list_recipes() if load_recipe(name).mirrors(False)] == ["torch7"]


def test_the_papers_recipe_mirrors_half_of_each_batch() -> None:
    assert load_recipe("paper").flips == "half"


@pytest.fixture
def long_tailed(tmp_path: Path) -> Path:
    """A folder of three classes: 20, 10 and 10 flat pictures."""
    from PIL import Image

    for colour, count in {"red": 20, "lime": 10, "blue": 10}.items():
        (tmp_path / "colours" / colour).mkdir(parents=True)
        for k in range(count):
            Image.new("RGB", (32, 32), colour).save(tmp_path / "colours" / colour / f"{k}.png")
    return tmp_path / "colours"


def command(*arguments: object) -> int:
    return run([str(argument) for argument in arguments])


def test_the_verbs_take_a_part_and_hold_one_out(
    long_tailed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("--data", f"folder:{long_tailed}", "--classes", "red, blue", "--json")
    small = ("--model", "vgg", "--width", 0.0625, "--epochs", 1, "--recipe-set", "batch_size=8")
    assert command("train", *small, *data, "--hold-out", 0.25, "--balance", "--out", tmp_path / "run") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["data"]["measured_on"] == "held-out"
    assert (result["data"]["train"], result["data"]["test"]) == (18, 6)  # of 16 + 8 in the training split
    assert result["recipe"]["sampling"] == "balanced"
    assert command("evaluate", tmp_path / "run", *data, "--balance", "--limit", 4) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["count"] == 4
    assert result["class_errors"].keys() == {"red", "blue"}
    assert result["balanced_error"] == pytest.approx(sum(result["class_errors"].values()) / 2, abs=1e-3)
    assert command("evaluate", tmp_path / "run", *data[:2], "--classes", "red,blu") == 2
    assert "did you mean 'blue'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--set", "preprocessing=gcn_zca"), "gcn_zca takes images of one size"),
        (("--hold-out", "1.5"), "between 0 and 1"),
        (("--limit", "0"), "--limit"),
        (("--recipe-set", "flips=halve"), "did you mean 'half'"),
    ],
)
def test_impossible_calls_fail_before_data_is_read(
    options: tuple[str, str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("train", "--data", "folder:nowhere", *options) == 2
    assert words in capsys.readouterr().err


def test_a_preprocessing_can_be_chosen_for_training(
    long_tailed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = ("--set", "preprocessing=yuv_lcn", "--epochs", 1, "--recipe-set", "batch_size=8", "--limit", 16)
    call = ("train", "--model", "vgg", "--width", 0.0625, "--data", f"folder:{long_tailed}", *chosen, "--json")
    assert command(*call, "--out", tmp_path / "run") == 0
    assert json.loads(capsys.readouterr().out)["model"]["options"]["preprocessing"] == "yuv_lcn"
    assert command("evaluate", tmp_path / "run", "--data", f"folder:{long_tailed}") == 0
