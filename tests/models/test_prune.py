"""Dead parameters: what is called dead is dead, what is not is not, and pruning changes nothing but the count."""

import copy
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

import payattention as pa
from payattention.attention import COMPATIBILITIES, NORMALISERS
from payattention.errors import UsageError
from payattention.models import Classifier
from settling import settled

SMALL = 0.0625
GATES = [name for name, normaliser in NORMALISERS.items() if normaliser.soft]
GRID = [{"compatibility": c, "normaliser": n} for c, n in product(COMPATIBILITIES, NORMALISERS)]
CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in pa.list_models()),
    *(("vgg_att3_concat_pc", options | {"projection": p}) for options in GRID for p in ("down", "up")),
    *(("vgg_pan", options | {"gate": gate}) for options in GRID for gate in GATES),
    ("vgg_att3_indep_pc", {"head": "logit_sum", "taps": "after", "head_norm": False}),
    ("vgg_att3_concat_pc", {"projection": "down_linear", "branch_grad": "mean", "init": "torch7"}),
    ("resnet164_att2_concat_pc", {"compatibility": "concat"}),
    ("resnet164_att2_concat_pc", {"compatibility": "local", "normaliser": "sigmoid"}),
    ("resnet164_att_pc", {"compatibility": "additive", "branch_grad": "mean"}),
    ("saoyan_vgg_att3", {"normaliser": "sigmoid"}),
    ("vgg_att3_concat_pc", {"queries": "own"}),
    ("vgg_att3_concat_dp", {"queries": "own"}),
    ("vgg_att3_concat_pc", {"projection": "up_norm"}),
    ("vgg_att3_concat_dp", {"projection": "up_norm"}),
    ("vgg_pan", {"gate_level": "layer7", "gate": "softmax"}),
    ("vgg_att3_concat_pc", {"prior": "strength"}),
    ("vgg_att3_concat_pc", {"prior": "strength", "compatibility": "concat", "normaliser": "sigmoid"}),
    ("vgg_pan", {"prior": "strength"}),
    ("vgg_att3_concat_pc", {"queries": 2}),
    ("vgg_att3_concat_dp", {"queries": 2, "normaliser": "sigmoid"}),
    ("vgg_att3_concat_pc", {"queries": 2, "compatibility": "grid_gate"}),
]
IDS = ["-".join([name, *map(str, options.values())]) for name, options in CASES]


@cache
def network(case: int) -> Classifier:
    """The network of a case, in double precision; made once, so tests leave it as it is."""
    name, options = CASES[case]
    model = settled(pa.create_model(name, 3, SMALL, **options)).double()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):  # no ReLU behind a handful of channels is off for all pictures
            module.bias.data.abs_().add_(1)
    return model


def pictures() -> torch.Tensor:
    return torch.rand(2, 3, 24, 32, dtype=torch.float64)


@pytest.mark.parametrize("case", range(len(CASES)), ids=IDS)
def test_exactly_the_dead_have_no_gradient(case: int) -> None:
    model = network(case)
    model.zero_grad()
    look = model.attend(pictures())
    outputs = [look.logits, *look.maps.values()]
    sum((output * torch.randn_like(output)).sum() for output in outputs).backward()
    dead = model.dead_parameters()
    for parameter, p in model.named_parameters():
        silent = p.grad is None or p.grad.abs().max() < 1e-12
        if dead.get(parameter) == p.numel():
            assert silent, f"{parameter} is called dead and has a gradient"
        else:
            assert not silent, f"{parameter} is not called dead and has no gradient"
            if parameter in dead:
                assert (p.grad.abs() < 1e-12).sum() >= dead[parameter]


@pytest.mark.parametrize("case", range(len(CASES)), ids=IDS)
def test_the_dead_may_be_anything(case: int) -> None:
    model, images = copy.deepcopy(network(case)), pictures()
    before = model.attend(images)
    dead = model.dead_parameters()
    for parameter, p in model.named_parameters():
        if dead.get(parameter) == p.numel():
            torch.nn.init.normal_(p, std=5)
    after = model.attend(images)
    torch.testing.assert_close(after.logits, before.logits, rtol=0, atol=1e-9)
    for level in model.levels:
        torch.testing.assert_close(after.maps[level], before.maps[level], rtol=0, atol=1e-9)


@pytest.mark.parametrize("case", range(len(CASES)), ids=IDS)
def test_pruning_keeps_the_function(case: int) -> None:
    model, images = network(case), pictures()
    dead = model.dead_parameters()
    if not dead:
        with pytest.raises(UsageError, match=f"every parameter of {model.name} counts"):
            pa.prune(model)
        return
    before = model.attend(images)
    slim = pa.prune(model)
    assert count(model) - count(slim) == sum(dead.values())
    assert set(slim.state_dict()) <= set(model.state_dict())
    after = slim.attend(images)
    torch.testing.assert_close(after.logits, before.logits, rtol=0, atol=1e-6)
    for level in model.levels:
        torch.testing.assert_close(after.maps[level], before.maps[level], rtol=0, atol=1e-6)
    torch.testing.assert_close(model.attend(images).logits, before.logits, rtol=0, atol=0)  # the model is left alone
    assert slim.dead_parameters() == {}
    with pytest.raises(UsageError, match="pruned already"):
        pa.prune(slim)


@pytest.mark.parametrize(
    ("name", "classes", "dead"),
    [
        ("vgg_att3_concat_pc", 100, 5_116_675),  # global branch 4,984,320, projection 132,352, three biases of u
        ("vgg_att3_concat_pc", 10, 5_116_675),
        ("vgg_att2_concat_pc", 100, 4_984_322),
        ("vgg_att_pc", 10, 4_984_321),
        ("vgg_pan", 10, 4_984_321),  # the upper global branch and one bias; its gate sees its query
        ("vgg_att3_concat_dp", 100, 0),
        ("vgg", 10, 0),
        ("vgg_gap", 10, 0),
        ("resnet164", 10, 0),
    ],
)
def test_counts_at_full_width(name: str, classes: int, dead: int) -> None:
    with torch.device("meta"):
        model = pa.create_model(name, classes)
    assert sum(model.dead_parameters().values()) == dead
    if dead:
        assert count(pa.prune(model)) == count(model) - dead


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vgg_att3_concat_pc", {}),
        ("vgg_att2_concat_pc", {"compatibility": "concat"}),
        ("vgg_att2_concat_pc", {"compatibility": "grid_gate"}),
        ("vgg_pan", {}),
        ("resnet164_att2_concat_pc", {}),
        ("saoyan_vgg_att3", {}),
    ],
)
def test_a_pruned_model_saves_and_loads(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    slim = pa.prune(settled(pa.create_model(name, 3, SMALL, **options)))
    slim.classes = ("a", "b", "c")
    loaded = pa.load(pa.save(slim, tmp_path))
    assert loaded.config == slim.config
    assert loaded.config.pruned
    assert loaded.classes == slim.classes
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(loaded(images), slim(images), rtol=0, atol=0)


def test_a_pruned_query_is_named() -> None:
    slim = pa.prune(pa.create_model("vgg_att2_concat_pc", 3, SMALL)).eval()
    images = torch.rand(1, 3, 32, 32)
    assert slim.attend(images).query is None
    for ask in (lambda: slim.attend(images, query=images), lambda: slim.query_of(images)):
        with pytest.raises(UsageError, match="the query of this vgg_att2_concat_pc was pruned"):
            ask()
    with pytest.raises(UsageError, match="vgg has no query"):
        pa.create_model("vgg", 3, SMALL).attend(images, query=images)


def test_pan_keeps_the_query_that_its_gate_sees() -> None:
    model = settled(pa.create_model("vgg_pan", 3, SMALL)).double()
    slim = pa.prune(model)
    images, others = pictures(), pictures()
    assert slim.query_dim == model.query_dim // 2
    torch.testing.assert_close(slim.query_of(others), model.query_of(others)[:, : slim.query_dim])
    torch.testing.assert_close(slim.attend(images, query=others).logits, model.attend(images, query=others).logits)


def test_a_pruned_model_trains(images: torch.Tensor) -> None:
    slim = pa.prune(pa.create_model("vgg_att2_concat_pc", 3, SMALL, branch_grad="mean")).train()
    slim(images).square().sum().backward()
    assert all(p.grad is not None for p in slim.parameters())


def count(model: Classifier) -> int:
    return sum(p.numel() for p in model.parameters())
