"""Every registered network through one test each: what holds for all of them."""

import copy
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

import payattention as pa
from payattention.errors import UsageError
from payattention.models import Classifier
from payattention.models.without_values import without_values
from payattention.training.fit import new_model
from payattention.training.recipe import load_recipe
from settling import settled

SMALL = 0.0625
EVERY = pa.list_models()


def small(name: str) -> Classifier:
    return pa.create_model(name, num_classes=3, width=SMALL)


@cache
def ready(name: str) -> Classifier:
    """A small network as training leaves it; made once, so tests leave it as it is."""
    return settled(small(name))


@pytest.mark.parametrize("name", EVERY)
def test_forward_and_attend(name: str) -> None:
    model = ready(name)
    images = torch.rand(2, 3, 40, 56)
    look = model.attend(images)
    assert look.logits.shape == (2, 3)
    torch.testing.assert_close(model(images), look.logits, rtol=0, atol=0)

    assert tuple(look.maps) == tuple(look.scores) == tuple(look.descriptors) == model.levels
    for level, map_ in look.maps.items():
        assert map_.shape == look.scores[level].shape
        assert map_.shape[1:] in [(40, 56), (20, 28), (10, 14), (5, 7), (3, 4)]
        assert (map_ >= 0).all()
        assert look.descriptors[level].shape[0] == 2
    grids = [map_.shape[1] for map_ in look.maps.values()]
    assert grids == sorted(grids, reverse=True)
    assert (look.query is None) == (model.query_dim == 0)
    if look.query is not None:
        assert look.query.shape == (2, model.query_dim)
        torch.testing.assert_close(model.query_of(images), look.query)
        own = model.attend(images, query=look.query)
        torch.testing.assert_close(own.logits, look.logits)


@pytest.mark.parametrize("name", EVERY)
def test_softmax_maps_sum_to_one(name: str) -> None:
    """All but class activation maps and PAN's gate are softmax maps by default."""
    look = ready(name).attend(torch.rand(3, 3, 32, 48))
    others = {"vgg_gap": ["layer13"], "fast_gap": ["block3"], "vgg_pan": ["layer10"]}.get(name, [])
    for level, map_ in look.maps.items():
        if level not in others:
            torch.testing.assert_close(map_.sum((1, 2)), torch.ones(3))


@pytest.mark.parametrize("name", EVERY)
def test_backward(name: str, images: torch.Tensor) -> None:
    model = small(name).train()
    model(images).square().sum().backward()
    grads = {parameter: p.grad for parameter, p in model.named_parameters()}
    assert {name for name, grad in grads.items() if grad is None} <= model.dead_parameters().keys()
    assert all(grad.isfinite().all() for grad in grads.values() if grad is not None)
    first = next(parameter for parameter in grads if "conv1" in parameter and parameter.endswith("weight"))
    assert grads[first].abs().max() > 0


@pytest.mark.parametrize("name", EVERY)
def test_training_and_evaluation_differ_and_come_back(name: str, images: torch.Tensor) -> None:
    model = copy.deepcopy(ready(name))
    before = model(images)
    torch.testing.assert_close(model(images), before, rtol=0, atol=0)
    trained = model.train()(images)  # batch statistics, dropout
    assert not torch.allclose(trained, before)
    assert not torch.allclose(model.eval()(images), before, atol=1e-7)  # the running statistics moved


@pytest.mark.parametrize("name", EVERY)
def test_images_do_not_see_each_other(name: str) -> None:
    model = copy.deepcopy(ready(name)).double()  # in float32, 164 layers of rounding look like a difference
    images = torch.rand(3, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(model(images)[1:2], model(images[1:2]))


@pytest.mark.parametrize("name", EVERY)
def test_save_and_load(name: str, images: torch.Tensor, tmp_path: Path) -> None:
    model = ready(name)
    loaded = pa.load(pa.save(model, tmp_path))
    assert loaded.config == model.config
    look, again = model.attend(images), loaded.attend(images)
    torch.testing.assert_close(again.logits, look.logits, rtol=0, atol=0)
    for level in model.levels:
        torch.testing.assert_close(again.maps[level], look.maps[level], rtol=0, atol=0)


@pytest.mark.parametrize("name", EVERY)
def test_smallest_image(name: str) -> None:
    model = ready(name)
    least = model.min_size
    assert model(torch.rand(2, 3, least, least + 9)).isfinite().all()
    with pytest.raises(UsageError, match=f"at least {least}x{least}"):
        model(torch.rand(2, 3, least, least - 1))


@pytest.mark.parametrize("name", EVERY)
def test_the_same_seed_gives_the_same_network(name: str) -> None:
    torch.manual_seed(3)
    first = small(name).state_dict()
    torch.manual_seed(3)
    second = small(name).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", EVERY)
def test_a_copy_is_independent(name: str, images: torch.Tensor) -> None:
    model = ready(name)
    before = model(images)
    other = copy.deepcopy(model)
    for parameter in other.parameters():
        torch.nn.init.zeros_(parameter)
    torch.testing.assert_close(model(images), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", EVERY)
def test_a_recipe_without_dropout_starts_every_network(name: str, image_set: pa.ImageSet) -> None:
    """Some networks have no dropout to switch off."""
    model = new_model(name, image_set, load_recipe("modern"), width=SMALL)
    assert not any(module.p for module in model.modules() if isinstance(module, torch.nn.Dropout))


CAPTURE = """
import sys
import torch
import torch._inductor.config
from torch import nn
import payattention as pa
from payattention.attention import MultiLevelAttention
from payattention.models import resnet
from payattention.models.heads import create_head

resnet._BLOCKS = 2  # of 18 in a stage, which are alike: tracing all of them takes most of a minute

class Attention(nn.Module):
    "Attention and head alone, on the pixels."

    def __init__(self):
        super().__init__()
        self.attention = MultiLevelAttention({"low": 3, "high": 6}, 6, compatibility="dp")
        self.head = create_head("concat", self.attention.dims, 3)

    def forward(self, images):
        both = torch.cat([images, images.square()], dim=1)
        attended = self.attention({"low": images, "high": both}, both.mean((2, 3)))
        return self.head([level.descriptor for level in attended.values()])

if sys.argv[1] == "inductor":  # few kernels: compiling their headers beforehand takes longer
    torch._inductor.config.cpp_cache_precompile_headers = False

for name in sys.argv[2:]:
    name, _, branch_grad = name.partition(":")
    options = {"branch_grad": branch_grad, "dropout": 0.0} if branch_grad else {}
    torch.manual_seed(0)
    model = Attention() if name == "attention" else pa.create_model(name, num_classes=3, width=0.0625, **options)
    model.train(bool(branch_grad))
    images = torch.rand(4, 3, 16, 24)
    torch.compiler.reset()  # networks share code, and dynamo compiles one piece of code a few times only
    backend = "aot_eager" if branch_grad else sys.argv[1]  # which has the gradients in the graph, too
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    outputs = compiled(images), model(images)
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)
    if branch_grad:
        weight = next(model.parameters())
        grads = [torch.autograd.grad(output.square().sum(), weight)[0] for output in outputs]
        torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)
    print(f"{name}:{branch_grad}" if branch_grad else name, flush=True)
"""


def captured(backend: str, names: Sequence[str]) -> list[str]:
    """The networks that one graph holds, with the eager outputs. In a process of its own: shape checks break graphs."""
    with TemporaryDirectory() as compiled:  # what was compiled for another processor, or another mask, gives NaN
        done = subprocess.run(
            [sys.executable, "-c", CAPTURE, backend, *names],
            env={
                **os.environ,
                "PYTHONWARNINGS": "ignore",
                "OMP_NUM_THREADS": "1",
                "TORCHINDUCTOR_CACHE_DIR": compiled,
                "TORCHINDUCTOR_COMPILE_THREADS": "1",  # else a pool of processes, each of which imports PyTorch
                "TORCHINDUCTOR_VEC_ISA_OK": "0",  # else trial programs for what the processor can do
            },
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


GRAPHS = (
    ("vgg", "vgg_pan", "vgg_att2_indep_dp", "saoyan_vgg", "saoyan_vgg_att3"),
    ("fast", "fast_gap", "fast_att2_concat_uniform", "fast_att2_concat_pc", "resnet164", "resnet164_att2_concat_pc"),
)
SCALED = "fast_att2_concat_dp:mean"
"""Trains, with its branches' gradients scaled."""


@pytest.mark.slow
@pytest.mark.parametrize("names", [GRAPHS[0], (*GRAPHS[1], SCALED)])
def test_networks_are_one_graph_scaled_gradients_too(names: tuple[str, ...]) -> None:
    assert captured("eager", names) == list(names)


def test_no_part_of_a_network_is_left_out_of_the_graphs() -> None:
    with without_values():
        parts = {name: {type(module) for module in small(name).modules()} for name in EVERY}
    assert set().union(*(parts[name] for names in GRAPHS for name in names)) == set().union(*parts.values())


@pytest.mark.slow
def test_compiled_by_inductor() -> None:
    """What is not PyTorch's own layers: attention and head. Each layer would be half a minute of a C++ compiler."""
    assert captured("inductor", ["attention"]) == ["attention"]
