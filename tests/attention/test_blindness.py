"""Which maps can depend on the query, and which cannot: over the whole grid of options.

Softmax over positions cancels whatever a score adds to all of them. So under softmax, and under hard attention, which
draws from it, `pc`, `concat` and `local` are blind to the query; `dp`, `additive` and the gate are not, and under a
sigmoid only `local` is, which never reads it.
"""

from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import payattention as pa
from payattention.attention import COMPATIBILITIES, NORMALISERS, PRIORS, PROJECTIONS
from payattention.attention.levels import create_level
from payattention.attention.maps import peaks
from payattention.models import Classifier, Look
from settling import settled

SMALL = 0.0625
SCORES = list(product(COMPATIBILITIES, NORMALISERS))
GATES = [name for name, normaliser in NORMALISERS.items() if normaliser.soft]


def is_blind(compatibility: str, normaliser: str) -> bool:
    return compatibility in ("local", "uniform") or (normaliser != "sigmoid" and compatibility in ("pc", "concat"))


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool((a - b).abs().max() < 1e-12)


def same_choice(a: Look, b: Look) -> bool:
    """Whether hard attention takes the same position of every map."""
    return all(torch.equal(peaks(a.maps[level]), peaks(b.maps[level])) for level in a.maps)


def network(name: str, **options: Any) -> Classifier:
    """With parameters that are no special case, in double precision: rounding is no excuse."""
    return settled(pa.create_model(name, 3, SMALL, **options)).double()


def pictures(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, dtype=torch.float64)


@pytest.mark.parametrize(("compatibility", "normaliser"), SCORES)
@pytest.mark.parametrize(("projection", "taps"), list(product(PROJECTIONS, ("before", "after"))))
def test_every_combination(compatibility: str, normaliser: str, projection: str, taps: str) -> None:
    options = {"compatibility": compatibility, "normaliser": normaliser, "projection": projection, "taps": taps}
    model = network("vgg_att3_concat_pc", **options)
    images = pictures()
    own, foreign = model.attend(images), model.attend(images, query=pictures())
    assert not same(own.query, foreign.query)
    for level in model.levels:
        moved = (own.maps[level] - foreign.maps[level]).abs().max()
        assert (moved < 1e-12) == is_blind(compatibility, normaliser), f"{level} moved by {moved}"
    hard = normaliser == "hard"
    unmoved = is_blind(compatibility, normaliser) or (hard and same_choice(own, foreign))  # maps may move, not peaks
    assert all(same(own.descriptors[level], foreign.descriptors[level]) for level in model.levels) == unmoved
    if unmoved or not hard:  # two single features may differ in nothing that the head's ReLU lets pass
        assert same(own.logits, foreign.logits) == unmoved


@pytest.mark.parametrize(
    ("name", "compatibility", "normaliser"),
    [("vgg_att2_indep_pc", *score) for score in SCORES]
    + [("resnet164_att2_concat_pc", score, "softmax") for score in ("pc", "additive")],
)
def test_other_networks(name: str, compatibility: str, normaliser: str) -> None:
    model = network(name, compatibility=compatibility, normaliser=normaliser)
    images = pictures()
    own, foreign = model.attend(images), model.attend(images, query=torch.randn_like(model.query_of(images)))
    moved = max((own.maps[level] - foreign.maps[level]).abs().max() for level in model.levels)
    assert (moved < 1e-12) == is_blind(compatibility, normaliser)


@pytest.mark.parametrize("taps", ["before", "after"])
def test_the_public_implementation_sees_its_query_by_its_sigmoid_only(taps: str) -> None:
    for normaliser, blind in (("softmax", True), ("sigmoid", False)):
        model = network("saoyan_vgg_att3", normaliser=normaliser, taps=taps)
        images = pictures()
        logits = model.attend(images, query=pictures()).logits
        assert same(logits, model(images)) == blind


@pytest.mark.parametrize(("compatibility", "normaliser"), SCORES)
@pytest.mark.parametrize("gate", GATES)
def test_pan_sees_by_its_first_map(compatibility: str, normaliser: str, gate: str) -> None:
    """The two halves of its query: the first asks the gate, the second the softmax map above."""
    model = network("vgg_pan", compatibility=compatibility, normaliser=normaliser, gate=gate)
    images = pictures()
    own = model.attend(images)
    lower, upper = own.query.chunk(2, dim=1)
    other = 0.9 * lower  # near enough that no map saturates
    by_gate = model.attend(images, query=torch.cat([other, upper], 1))
    by_upper = model.attend(images, query=torch.cat([lower, other], 1))
    assert same(by_gate.maps["layer10"], own.maps["layer10"]) == is_blind(compatibility, gate)
    if is_blind(compatibility, gate):
        assert same(by_gate.logits, own.logits)
    torch.testing.assert_close(by_upper.maps["layer10"], own.maps["layer10"])
    blind = is_blind(compatibility, normaliser)
    assert same(by_upper.maps["layer13"], own.maps["layer13"]) == blind


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(SCORES),
    st.sampled_from(list(PRIORS)),
    st.integers(1, 2),
    st.integers(1, 3),
    st.tuples(st.integers(2, 5), st.integers(1, 5)),
    st.floats(0.5, 4),
    st.integers(0, 2**31),
)
def test_a_level_of_any_size(
    score: tuple[str, str], prior: str, queries: int, share: int, grid: tuple[int, int], size: float, seed: int
) -> None:
    """What a level says of itself is what it does, for any features and any two queries."""
    torch.manual_seed(seed)
    queries = queries if NORMALISERS[score[1]].soft else 1
    dim = queries * share
    level = create_level(dim, compatibility=score[0], normaliser=score[1], prior=prior, queries=queries).double()
    local = size * torch.randn(1, dim, *grid, dtype=torch.float64)
    maps = [level(local, size * torch.randn(1, dim, dtype=torch.float64)).map for _ in range(8)]
    assert level.blind == is_blind(*score)
    if level.blind:
        for map_ in maps[1:]:
            torch.testing.assert_close(map_, maps[0])
    elif score[0] != "grid_gate":  # a few hidden units may all be off
        assert any(not torch.equal(map_, maps[0]) for map_ in maps[1:])
