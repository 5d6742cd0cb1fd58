"""Several queries a level: against plain loops, against as many single ones, and as one where all are the same."""

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import payattention as pa
from payattention.attention import COMPATIBILITIES, AttentionLevel, MultiLevelAttention
from payattention.attention.compatibility import Compatibility, create_compatibility
from payattention.attention.levels import create_level
from payattention.errors import UsageError
from payattention.models import check_model
from settling import settled

N, D, H, W, K = 2, 6, 4, 5, 3


@pytest.fixture
def local() -> Tensor:
    return torch.randn(N, D, H, W, dtype=torch.float64)


@pytest.fixture
def g() -> Tensor:
    return torch.randn(N, D, dtype=torch.float64)


def several(**options: Any) -> AttentionLevel:
    return create_level(D, queries=K, **options).double()


@torch.no_grad()
def test_efficient_probing_by_loops(local: Tensor) -> None:
    """Softmax of <q_j, l_i> / sqrt(d) over i; query j pools its d / k of the channels of V l."""
    level = several(compatibility="local")
    attended, values, width = level(local, None), level.values.weight[:, :, 0], D // K
    for n in range(N):
        for j in range(K):
            scores = {}
            for y in range(H):
                for x in range(W):
                    dot = sum(float(level.compatibility.u.weight[j, d] * local[n, d, y, x]) for d in range(D))
                    scores[y, x] = math.exp(dot / math.sqrt(D))
            for c in range(j * width, (j + 1) * width):
                pooled = 0.0
                for (y, x), score in scores.items():
                    value = sum(float(values[c, d] * local[n, d, y, x]) for d in range(D))
                    pooled += score / sum(scores.values()) * value
                assert attended.descriptor[n, c].item() == pytest.approx(pooled)


def single(compatibility: Compatibility, name: str, j: int) -> Any:
    """The function (local, g) -> scores of query j alone, as the one-query function has it."""
    if name == "dp":
        q, w = compatibility.q[j], compatibility.w.weight.view(K, D, D)[j]
        return lambda local, g: create_compatibility("dp", D)(local, g @ w.T + q)
    one = copy.deepcopy(compatibility)
    if name == "uniform":
        return create_compatibility(name, D)
    one.u = nn.Conv2d(one.u.in_channels, 1, 1, bias=one.u.bias is not None).double()
    one.u.weight.data = compatibility.u.weight.data[j : j + 1]
    if one.u.bias is not None:
        one.u.bias.data = compatibility.u.bias.data[j : j + 1]
    return one


@pytest.mark.parametrize("prior", ["none", "strength"])
@pytest.mark.parametrize("normaliser", ["softmax", "sigmoid"])
@pytest.mark.parametrize("name", COMPATIBILITIES)
def test_each_query_asks_as_if_it_were_alone(name: str, normaliser: str, prior: str, local: Tensor, g: Tensor) -> None:
    level = several(compatibility=name, normaliser=normaliser, prior=prior)
    attended = level(local, g)
    values = torch.einsum("cd,ndhw->nchw", level.values.weight[:, :, 0], local).chunk(K, dim=1)
    slices = []
    for j in range(K):
        scores = single(level.compatibility, name, j)(local, g) / math.sqrt(D)
        if prior == "strength":
            level.prior.tau.data[j] = tau = 0.5 + j
            scores = scores + tau * (local.square().mean(1) + 1e-5).sqrt().log()
        map_ = scores.flatten(1).softmax(1).view_as(scores) if normaliser == "softmax" else scores.sigmoid()
        slices.append((map_[:, None] * values[j]).sum((2, 3)) / (1 if normaliser == "softmax" else H * W))
        torch.testing.assert_close(level(local, g).query_maps[:, j], map_)
    attended = level(local, g)
    torch.testing.assert_close(attended.descriptor, torch.cat(slices, 1))
    torch.testing.assert_close(attended.map, attended.query_maps.mean(1))
    assert attended.scores.shape == attended.map.shape == (N, H, W)


def test_queries_that_are_all_the_same_are_one(local: Tensor) -> None:
    """With V the identity, and scores that make up for the scale."""
    level, one = several(compatibility="local"), create_level(D, compatibility="local").double()
    level.compatibility.u.weight.data[:] = one.compatibility.u.weight.data * math.sqrt(D)
    level.compatibility.u.bias.data.zero_()
    level.values.weight.data = torch.eye(D).double()[:, :, None]
    torch.testing.assert_close(level(local, None).map, one(local, None).map)
    torch.testing.assert_close(level(local, None).descriptor, one(local, None).descriptor)
    assert one(local, None).query_maps.shape == (N, 1, H, W)


@pytest.mark.parametrize("name", COMPATIBILITIES)
@pytest.mark.parametrize("normaliser", ["softmax", "sigmoid"])
def test_dropping_the_dead_changes_no_map(name: str, normaliser: str, local: Tensor, g: Tensor) -> None:
    level = several(compatibility=name, normaliser=normaliser)
    before = level(local, g)
    level.drop_dead()
    after = level(local, None if level.blind else g)
    torch.testing.assert_close(after.query_maps, before.query_maps)
    torch.testing.assert_close(after.descriptor, before.descriptor)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("timm:test_resnet", {"compatibility": "local", "prior": "strength"}),
        ("vgg_att2_indep_dp", {"normaliser": "sigmoid"}),
        ("fast_att2_concat_pc", {"projection": "up"}),
    ],
)
def test_networks_of_several_queries(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    """Saved and loaded, and folded, they are the same."""
    width = {} if name.startswith("timm:") else {"width": 0.0625}
    model = settled(pa.create_model(name, 3, **width, **options, queries=2))
    images = torch.rand(2, 3, 32, 32)
    look, loaded = model.attend(images), pa.load(pa.save(model, tmp_path))
    assert {maps.shape[1] for maps in look.query_maps.values()} == {2}
    torch.testing.assert_close(loaded(images), look.logits, rtol=0, atol=0)
    folded = pa.fold(model.double()).attend(images.double())
    for level, map_ in look.maps.items():
        torch.testing.assert_close(map_, look.query_maps[level].mean(1))
        torch.testing.assert_close(folded.maps[level].float(), map_, rtol=1e-3, atol=1e-5)


def test_one_query_is_what_it_always_was() -> None:
    """`queries=1` has no more weights, and VGG's names for its one query stay."""
    bare = pa.create_model("vgg_att2_concat_pc", 3, 0.0625)
    for queries in (1, "shared"):
        assert list(pa.create_model("vgg_att2_concat_pc", 3, 0.0625, queries=queries).state_dict()) == list(
            bare.state_dict()
        )
    assert pa.create_model("vgg_att2_concat_pc", 3, 0.0625, queries="own").query_dim > bare.query_dim


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("timm:test_resnet", {"queries": 0}, "queries is 0: they share the channels of a level equally"),
        ("vgg_att3_concat_pc", {"queries": 3}, "256 or 512 here; take one of 1, 2, 4, 8, 16, 32, 64, 128, 256$"),
        ("vgg_att3_concat_pc", {"queries": 2, "normaliser": "hard"}, "queries is 2, but with normaliser='hard' one"),
        ("vgg_att3_concat_pc", {"queries": 1.5}, 'it takes a whole number or a name, by default "shared"'),
        ("resnet164_att_pc", {"queries": "8"}, "queries is '8': it takes a whole number, by default 1"),
        ("vgg_pan", {"queries": 2}, "each level has its own, always"),
        ("vgg_gap", {"queries": 2}, "it has no attention"),
    ],
)
def test_numbers_of_queries_that_cannot_be(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_model(name, **options)


def test_a_compatibility_of_your_own_asks_several_times_if_it_can() -> None:
    class Own(Compatibility):
        def __init__(self, dim: int, queries: int = 1) -> None:
            super().__init__()
            self.q = nn.Parameter(torch.randn(queries, dim))

        def forward(self, local: Tensor, query: Tensor) -> Tensor:
            return torch.einsum("kd,ndhw->nkhw", self.q, local)

    attention = MultiLevelAttention({"a": D}, D, compatibility=Own, queries=K)
    local, q = torch.randn(N, D, H, W), attention.levels["a"].compatibility.q
    attended = attention({"a": local}, torch.zeros(N, D))["a"]
    torch.testing.assert_close(attended.scores, F.conv2d(local, q[:, :, None, None]).mean(1) / math.sqrt(D))
