"""Recipes: the paper's words epoch by epoch, Torch7's arithmetic in numpy, and files of one's own."""

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from payattention.cli.app import run
from payattention.data import ImageSet
from payattention.errors import UsageError
from payattention.models import check_model, create_model
from payattention.training.fit import new_model
from payattention.training.model_options import model_options
from payattention.training.optimisation import create_optimizer, create_schedule
from payattention.training.presets import list_recipes
from payattention.training.recipe import Recipe, load_recipe

Array = NDArray[np.float64]
ATTENTION = "vgg_att2_concat_pc"


class Torch7:
    """What `optim.sgd` of Torch7 does in one call, in the order in which it does it; one vector of parameters."""

    def __init__(self, rate: float, momentum: float, dampening: float, weight_decay: float, rate_decay: float) -> None:
        self.rate, self.momentum, self.dampening = rate, momentum, dampening
        self.weight_decay, self.rate_decay = weight_decay, rate_decay
        self.calls = 0
        self.velocity: Array | None = None

    def __call__(self, x: Array, gradient: Array) -> Array:
        gradient = gradient + self.weight_decay * x
        if self.velocity is None:
            self.velocity = gradient.copy()  # the first is not damped
        else:
            self.velocity = self.momentum * self.velocity + (1 - self.dampening) * gradient
        rate = self.rate / (1 + self.calls * self.rate_decay)
        self.calls += 1
        return x - rate * self.velocity


def trained(recipe: Recipe, start: Array, gradients: list[Array], steps_per_epoch: int) -> list[Array]:
    """The weights of one parameter, step by step, as our optimizer and schedule change them by given gradients."""
    model = nn.Linear(start.shape[1], start.shape[0], bias=False).double()
    model.weight.data = torch.from_numpy(start.copy())
    optimizer = create_optimizer(model, recipe)
    schedule = create_schedule(optimizer, recipe, steps_per_epoch)
    weights = []
    for gradient in gradients:
        model.weight.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
        schedule.step()
        weights.append(model.weight.detach().numpy().copy())
    return weights


def rates(recipe: Recipe, steps_per_epoch: int) -> list[float]:
    """The learning rate of every step of a run."""
    optimizer = create_optimizer(nn.Linear(1, 1), recipe)
    schedule = create_schedule(optimizer, recipe, steps_per_epoch)
    found = []
    for _ in range(recipe.epochs * steps_per_epoch):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), decay=st.sampled_from([1e-7, 1e-3]))
def test_torch7_is_optim_sgd(seed: int, decay: float) -> None:
    random = np.random.default_rng(seed)
    start = random.normal(size=(2, 3))
    gradients = list(random.normal(size=(60 * 4, 2, 3)))
    ours = trained(load_recipe("torch7", {"epochs": 60, "lr_decay": decay}), start, gradients, 4)

    sgd, x = Torch7(1.0, 0.9, 0.9, 5e-4, decay), start
    for step, gradient in enumerate(gradients):
        epoch = 1 + step // 4  # theirs count from 1
        if step % 4 == 0 and epoch % 25 == 0:
            sgd.rate /= 2
        x = sgd(x, gradient)
        np.testing.assert_allclose(ours[step], x, rtol=1e-11, atol=1e-12)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_a_rate_of_one_damped_by_nine_tenths_is_a_tenth(seed: int) -> None:
    """The two differ by the first gradient alone, which Torch7 takes whole: by 9 (1 - .9^t) of it after t steps."""
    random = np.random.default_rng(seed)
    start, gradients = random.normal(size=(2, 3)), list(random.normal(size=(150, 2, 3)))
    constant = {"weight_decay": 0.0, "lr_decay": 0.0, "milestones": [[1000, 1]]}
    damped = trained(load_recipe("torch7", constant), start, gradients, 1000)
    plain = trained(load_recipe("paper", constant), start, gradients, 1000)
    for step, (one, other) in enumerate(zip(damped, plain, strict=True), start=1):
        np.testing.assert_allclose(one - other, -9 * (1 - 0.9**step) * gradients[0], atol=1e-11)
    last = [np.diff(weights[-2:], axis=0) for weights in (damped, plain)]
    np.testing.assert_allclose(*last, atol=1e-5)  # the steps themselves have become equal


# The rate by epoch as the paper's A.3 has it, times a tenth where its Torch7 damps momentum by .9; of torch7 and CUB as
# the authors' scripts have it. Numbers of epochs, and the rate in them.
SCHEDULES = {
    "paper": [(25, 0.1 / 2**k) for k in range(12)],
    "paper-svhn": [(25, 0.01 / 2**k) for k in range(12)],
    "paper-cub": [(30, 0.01), (30, 0.02), (30, 0.04), *((30, 0.04 / 2**k) for k in range(1, 8)), (20, 0.04 / 2**8)],
    "paper-resnet": [(60, 0.1), (60, 0.02), (40, 0.004), (40, 0.0008)],
    "torch7": [(24, 1.0), *((25, 1 / 2**k) for k in range(1, 12)), (1, 1 / 2**12)],
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_papers_rates_epoch_by_epoch(name: str) -> None:
    recipe = load_recipe(name)
    by_epoch = [rate for epochs, rate in SCHEDULES[name] for _ in range(epochs)]
    assert len(by_epoch) == recipe.epochs
    decay = 0.0 if name == "paper-resnet" else 1e-7
    expected = [by_epoch[step // 2] / (1 + step * decay) for step in range(2 * len(by_epoch))]
    assert rates(recipe, 2) == pytest.approx(expected, rel=1e-12)


def test_the_papers_other_numbers() -> None:
    for name, batch in {"paper": 128, "paper-svhn": 128, "paper-cub": 128, "paper-resnet": 64, "torch7": 128}.items():
        recipe = load_recipe(name)
        assert (recipe.batch_size, recipe.momentum, recipe.weight_decay, recipe.decay_all) == (batch, 0.9, 5e-4, True)
        assert (recipe.optimizer, recipe.flips, recipe.label_smoothing, recipe.averaging) == ("sgd", "half", 0.0, 0.0)
        assert recipe.dampening == (0.9 if name == "torch7" else 0.0)
        assert recipe.nesterov == (name == "paper-resnet")
        assert recipe.shift == (4 if name == "paper-resnet" else 0)


@pytest.mark.parametrize("layer_decay", [1.0, 0.5])
def test_biases_of_norms_have_a_rate_of_their_own(layer_decay: float) -> None:
    """A step by hand: their gradient counts eightfold, their decay once; all else is as without."""
    plain = load_recipe("paper", {"momentum": 0.0, "weight_decay": 0.1, "layer_decay": layer_decay})
    models = [create_model("fast_att2_concat_pc", 3, 0.0625) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    before = {name: p.detach().clone() for name, p in models[0].named_parameters()}
    for model, factor in zip(models, (1.0, 8.0), strict=True):
        for p in model.parameters():
            p.grad = torch.ones_like(p)
        create_optimizer(model, load_recipe("paper", {**plain.to_dict(), "bias_factor": factor})).step()
    biases = {f"{name}.bias" for name, m in models[0].named_modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)}
    assert len(biases) == 9
    for (name, one), other in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        step = before[name] - one.detach()
        rate = float(step.flatten()[0] / (1 + 0.1 * before[name].flatten()[0]))
        expected = rate * 8 * (1 + 0.1 / 8 * before[name]) if name in biases else step
        torch.testing.assert_close(before[name] - other.detach(), expected, rtol=1e-4, atol=1e-6)


def test_momentum_starts_anew_where_the_rate_drops() -> None:
    changes = {"epochs": 4, "milestones": [[2, 0.2], [3, 0.2]], "weight_decay": 0.0}
    random = np.random.default_rng(0)
    start, gradients = np.zeros((1, 2)), list(random.normal(size=(12, 1, 2)))
    ours = trained(load_recipe("paper-resnet", changes), start, gradients, 3)
    x, velocity = start, np.zeros((1, 2))
    for step, gradient in enumerate(gradients):
        if step in (6, 9):
            velocity = np.zeros((1, 2))
        velocity = 0.9 * velocity + gradient
        x = x - 0.1 * 0.2 ** ((step >= 6) + (step >= 9)) * (gradient + 0.9 * velocity)  # Nesterov's
        np.testing.assert_allclose(ours[step], x, atol=1e-12)
    lasting = trained(load_recipe("paper-resnet", changes | {"momentum_reset": False}), start, gradients, 3)
    assert np.abs(lasting[6] - ours[6]).max() > 1e-3


def test_the_page_lists_the_recipes() -> None:
    page = (Path(__file__).parents[2] / "docs/recipes.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\S+)` \|", page.partition("Each [file]")[0], re.MULTILINE) == list_recipes()


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_fits_the_default_network_and_says_what_to_expect(name: str) -> None:
    check_model(ATTENTION, **model_options(load_recipe(name), ATTENTION))
    text = (Path(__file__).parents[2] / f"src/payattention/training/recipes/{name}.toml").read_text()
    assert "payattention train" in text or "payattention quickstart" in text
    assert all(word in text for word in ("to expect", "ime"))


def test_a_recipe_sets_the_networks_options_where_it_has_them(image_set: ImageSet) -> None:
    torch7 = load_recipe("torch7")
    assert model_options(torch7, ATTENTION) == {"branch_grad": "mean", "init": "torch7"}
    assert model_options(torch7, "vgg") == {"init": "torch7"}
    assert model_options(load_recipe("quickstart"), ATTENTION) == {"dropout": 0.0}
    assert model_options(load_recipe("quickstart"), "resnet164") == {}
    model = new_model(ATTENTION, image_set, torch7, width=0.0625, init="default")
    assert model.config.options == {"branch_grad": "mean", "init": "default"}
    with pytest.raises(UsageError, match=r"unknown option of a network in the recipe's table \[model\] 'brunch_grad'"):
        model_options(load_recipe("torch7", {"model": {"brunch_grad": "mean"}}), ATTENTION)


def written(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text)
    return folder / f"{next(iter(texts))}.toml"


def test_a_file_changes_what_it_is_based_on(tmp_path: Path) -> None:
    mine = written(
        tmp_path,
        mine='base = "theirs.toml"\nlr = 0.5\n[model]\nhead_norm = false',
        theirs='base = "torch7"\nepochs = 7\nlr = 2.0\n[model]\ninit = "default"',
    )
    recipe = load_recipe(str(mine), {"epochs": 3})
    assert (recipe.epochs, recipe.lr, recipe.dampening) == (3, 0.5, 0.9)
    assert recipe.model == {"branch_grad": "mean", "init": "default", "head_norm": False}
    assert recipe.summary == f"theirs.toml, changed by {mine}"
    assert load_recipe(str(written(tmp_path, short="epochs = 2"))) == Recipe(f"{tmp_path / 'short.toml'}", 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr = 0.1", r"mine.toml sets no epochs: give them, or begin with a base"),
        ('base = "modrn"', "unknown recipe 'modrn'; did you mean 'modern'"),
        ("base = 3", "base is 3: the name of a recipe is needed"),
        ('base = "mine.toml"', "based on each other: .*mine.toml on .*mine.toml"),
        ('base = "nowhere.toml"', "nowhere.toml cannot be read: No such file"),
        ('base = "paper"\nlearning_rate = 1', "mine.toml: unknown recipe field 'learning_rate'"),
        ('base = "paper"\nlr = "high"', "mine.toml: lr is 'high': a number is needed"),
        ('base = "paper"\nlr = ten', r"mine.toml is not TOML: .*line 2"),
        ('base = "paper"\nmodel = 3', "mine.toml: model is 3: a table of options is needed"),
        ('base = "paper"\nmilestones = [[3, 0.1], [3, 0.1]]', "it takes pairs of epochs and a factor"),
        ('base = "paper"\nmilestones = [3, 4]', r"milestones is \[3, 4\]: it takes pairs"),
        ('base = "paper"\nmilestones = [[0.5, 0.1]]', "it takes pairs"),
        ('base = "paper"\nmilestones = [[3, 0]]', "it takes pairs"),
        ('base = "paper"\naveraging = 2', "averaging is 2: it lies between 0 and 1"),
    ],
)
def test_a_mistake_in_a_file_is_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message) as error:
        load_recipe(str(written(tmp_path, mine=text)))
    assert "\n" not in str(error.value)


def test_a_run_saves_its_recipe_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, mine='base = "torch7"\nepochs = 1\nbatch_size = 4\nmilestones = [[2, 0.5]]')
    command = f"train --model {ATTENTION} --width 0.0625 --limit 8 --recipe mine.toml --recipe-set lr=0.01 --out run"
    assert run(command.split()) == 0
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert Recipe(**config["recipe"]) == load_recipe("mine.toml", {"lr": 0.01})
    assert config["model"]["options"] == {"branch_grad": "mean", "init": "torch7"}


@settings(max_examples=30, deadline=None)
@given(
    every=st.integers(1, 7), epochs=st.integers(1, 20), factor=st.floats(0.1, 0.9), steps=st.integers(1, 4)
)  # fmt: skip
def test_steps_are_milestones_at_equal_distances(every: int, epochs: int, factor: float, steps: int) -> None:
    common = {"summary": "", "epochs": epochs, "lr": 0.3}
    regular = Recipe(**common, schedule="steps", step_epochs=every, step_factor=factor)  # type: ignore[arg-type]
    pairs = [(epoch, factor) for epoch in range(every, every * 30, every)]
    listed = Recipe(**common, schedule="steps", milestones=tuple(pairs))  # type: ignore[arg-type]
    found = rates(regular, steps)
    assert found == rates(listed, steps)
    changed = [step for step, (one, next_) in enumerate(pairwise(found), start=1) if one != next_]
    assert changed == [epoch * steps for epoch in range(every, epochs, every)]
