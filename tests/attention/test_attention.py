"""The paper's section 3 against plain Python loops, and what must hold whatever the weights are."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from payattention.attention import MultiLevelAttention
from payattention.attention.compatibility import DotProduct, Parametrised
from payattention.attention.normaliser import Softmax

N, D, H, W = 2, 3, 4, 5


def attended_by_loops(local: Tensor, g: Tensor, u: Tensor | None, bias: float) -> tuple[Tensor, Tensor]:
    """Equations 1-3, one number at a time: maps (n, h, w) and descriptors (n, d). u None means dp."""
    n, d, height, width = local.shape
    maps, descriptors = torch.zeros(n, height, width), torch.zeros(n, d)
    for i in range(n):
        scores = {}
        for y in range(height):
            for x in range(width):
                if u is None:
                    score = sum(float(local[i, k, y, x] * g[i, k]) for k in range(d))
                else:
                    score = bias + sum(float(u[k] * (local[i, k, y, x] + g[i, k])) for k in range(d))
                scores[y, x] = math.exp(score)
        total = sum(scores.values())
        for (y, x), score in scores.items():
            maps[i, y, x] = score / total
            for k in range(d):
                descriptors[i, k] += maps[i, y, x] * local[i, k, y, x]
    return maps, descriptors


@pytest.fixture
def local() -> Tensor:
    return torch.randn(N, D, H, W)


@pytest.fixture
def g() -> Tensor:
    return torch.randn(N, D)


def test_pc_is_the_papers_equations(local: Tensor, g: Tensor) -> None:
    attention = MultiLevelAttention({"layer": D}, D, compatibility="pc")
    u = attention.levels["layer"].compatibility.u
    level = attention({"layer": local}, g)["layer"]
    maps, descriptors = attended_by_loops(local, g, u.weight.detach().flatten(), u.bias.item())
    torch.testing.assert_close(level.map, maps)
    torch.testing.assert_close(level.descriptor, descriptors)


def test_dp_is_the_papers_equations(local: Tensor, g: Tensor) -> None:
    level = MultiLevelAttention({"layer": D}, D, compatibility="dp")({"layer": local}, g)["layer"]
    maps, descriptors = attended_by_loops(local, g, None, 0)
    torch.testing.assert_close(level.map, maps)
    torch.testing.assert_close(level.descriptor, descriptors)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.01, 100), st.integers(1, 4), st.integers(1, 4))
def test_a_softmax_map_sums_to_one_and_its_descriptor_lies_in_the_convex_hull(
    seed: int, scale: float, height: int, width: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    local = scale * torch.randn(3, D, height, width, generator=random)
    g = scale * torch.randn(3, D, generator=random)
    level = MultiLevelAttention({"layer": D}, D, compatibility="dp")({"layer": local}, g)["layer"]
    assert (level.map >= 0).all()
    torch.testing.assert_close(level.map.sum((1, 2)), torch.ones(3))
    slack = 1e-5 * scale
    assert (level.descriptor >= local.amin((2, 3)) - slack).all()
    assert (level.descriptor <= local.amax((2, 3)) + slack).all()


def test_dp_with_an_empty_query_is_average_pooling(local: Tensor) -> None:
    level = MultiLevelAttention({"layer": D}, D, compatibility="dp")({"layer": local}, torch.zeros(N, D))["layer"]
    torch.testing.assert_close(level.map, torch.full((N, H, W), 1 / (H * W)))
    torch.testing.assert_close(level.descriptor, local.mean((2, 3)))


def test_softmax_survives_scores_that_overflow_an_exponential() -> None:
    scores = torch.tensor([[[1e4, -1e4], [0.0, 1e4]]])
    torch.testing.assert_close(Softmax()(scores), torch.tensor([[[0.5, 0.0], [0.0, 0.5]]]))


def test_pc_scores_see_the_query_only_as_a_shift(local: Tensor, g: Tensor) -> None:
    pc = Parametrised(D)
    shift = pc(local, g) - pc(local, torch.zeros(N, D))
    torch.testing.assert_close(shift, shift[:, :1, :1].expand(N, H, W))
    dp = DotProduct(D)
    moved = dp(local, g) - dp(local, torch.zeros(N, D))
    assert moved.flatten(1).std(1).min() > 0.01


def test_one_projection_serves_all_levels_of_a_dimension() -> None:
    attention = MultiLevelAttention({"a": 4, "b": 4, "c": 6, "d": 8}, 8, compatibility="dp").eval()
    assert list(attention.projection.to_dim) == ["4", "6"]
    queries = attention.projection.queries(torch.randn(2, 8))
    assert {name: q.shape[1] for name, q in queries.items()} == {"a": 4, "b": 4, "c": 6, "d": 8}
    assert queries["a"] is queries["b"]
