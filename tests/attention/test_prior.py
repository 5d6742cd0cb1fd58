"""Where attention starts: against plain loops, and what a prior leaves as it was."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

import payattention as pa
from payattention.attention import COMPATIBILITIES, NORMALISERS, MultiLevelAttention
from payattention.attention.levels import create_level
from payattention.attention.maps import upsampled
from payattention.attention.prior import create_prior
from payattention.errors import UsageError
from payattention.training.optimisation import create_optimizer
from payattention.training.recipe import load_recipe
from settling import settled

N, D, H, W = 2, 3, 4, 5


def strengths(local: Tensor) -> Tensor:
    """log |l|, one number at a time."""
    found = torch.zeros(N, H, W, dtype=local.dtype)
    for n in range(N):
        for y in range(H):
            for x in range(W):
                found[n, y, x] = math.log(sum(float(value) ** 2 for value in local[n, :, y, x]) / D + 1e-5) / 2
    return found


@pytest.mark.parametrize("compatibility", COMPATIBILITIES)
@pytest.mark.parametrize("normaliser", NORMALISERS)
def test_strength_is_added_to_every_score(compatibility: str, normaliser: str) -> None:
    level = create_level(D, compatibility=compatibility, normaliser=normaliser, prior="strength").double().eval()
    bare = create_level(D, compatibility=compatibility, normaliser=normaliser).double().eval()
    bare.load_state_dict({name: value for name, value in level.state_dict().items() if name != "prior.tau"})
    torch.nn.init.constant_(level.prior.tau, 0.7)
    local, g = torch.randn(N, D, H, W).double(), torch.randn(N, D).double()
    scores = level(local, g).scores
    torch.testing.assert_close(scores, bare(local, g).scores + 0.7 * strengths(local))
    torch.testing.assert_close(level(local, g).map, bare.normaliser(scores))
    assert level.blind == bare.blind


def test_attention_without_a_score_is_in_proportion_to_the_features_strength() -> None:
    """So a map does not change with the unit of the features, and where there are none it is 0 or near it."""
    level = create_level(D, compatibility="uniform", prior="strength")
    local = torch.randn(N, D, H, W)
    strength = local.square().mean(1).sqrt()
    torch.testing.assert_close(
        level(local, None).map, strength / strength.sum((1, 2), keepdim=True), rtol=1e-3, atol=1e-5
    )
    torch.testing.assert_close(level(30 * local, None).map, level(local, None).map, rtol=1e-2, atol=1e-4)
    local[0, :, 1, 2] = 0
    assert 0 < level(local, None).map[0, 1, 2].item() < 1e-3
    nothing = torch.zeros(N, D, H, W, requires_grad=True)
    level(nothing, None).map.square().sum().backward()
    assert nothing.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_strength_is_taken_in_float32_or_better(dtype: torch.dtype) -> None:
    """300^2 is beyond half's range."""
    local, scores = 300 * torch.rand(N, D, H, W), torch.zeros(N, H, W, dtype=dtype)
    prior = create_prior("strength").to(dtype)
    found = prior(scores, local.to(dtype), local.to(dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), strengths(local.to(dtype).double()).float(), rtol=0.01, atol=0.01)


def test_levels_project_before_they_ask_for_strength() -> None:
    attention = MultiLevelAttention(
        {"low": 3, "high": 6}, 6, projection="up", compatibility="uniform", prior="strength"
    )
    low, high = torch.randn(N, 3, H, W), torch.randn(N, 6, H, W)
    attended = attention({"low": low, "high": high}, torch.zeros(N, 6))
    raised = attention.projection.to_query["low"](low)
    torch.testing.assert_close(attended["low"].scores, (raised.square().mean(1) + 1e-5).sqrt().log())
    torch.testing.assert_close(attended["high"].scores, (high.square().mean(1) + 1e-5).sqrt().log())


def test_the_deep_strength_is_the_last_levels_on_each_grid() -> None:
    """Enlarged bilinearly before its logarithm is taken; of a level that is alone, its own."""
    attention = MultiLevelAttention({"low": 3, "high": 6}, 6, compatibility="uniform", prior="deep_strength")
    low, high = torch.randn(N, 3, 2 * H, 2 * W), torch.randn(N, 6, H, W)
    attended = attention({"low": low, "high": high}, torch.zeros(N, 6))
    strength = (high.square().mean(1) + 1e-5).sqrt()
    torch.testing.assert_close(attended["high"].scores, strength.log())
    torch.testing.assert_close(attended["low"].scores, upsampled(strength, (2 * H, 2 * W)).log())
    alone, own = (create_level(6, compatibility="uniform", prior=prior) for prior in ("deep_strength", "strength"))
    torch.testing.assert_close(alone(high, None).map, own(high, None).map)


def test_a_recipes_decay_draws_the_prior_to_nothing() -> None:
    """By AdamW and without a gradient: a step leaves 1 - rate * decay of it, as of u."""
    recipe = load_recipe("probe")
    level = create_level(D, prior="strength")
    optimizer = create_optimizer(level, recipe)
    for p in level.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    torch.testing.assert_close(level.prior.tau, torch.full((1, 1, 1), 1 - recipe.lr * recipe.weight_decay))


def test_scaled_scores_are_divided_by_the_root_of_the_channels() -> None:
    level, bare = create_level(D, scaled=True, prior="strength"), create_level(D)
    bare.compatibility.load_state_dict(level.compatibility.state_dict())
    local, g = torch.randn(N, D, H, W), torch.randn(N, D)
    torch.testing.assert_close(level(local, g).scores, bare(local, g).scores / math.sqrt(D) + strengths(local))


@pytest.mark.parametrize("queries", [1, D])
def test_a_learned_factor_begins_small(queries: int) -> None:
    """It multiplies the scores and not the prior. Decay, which draws u to 0, spares it."""
    learning = create_level(D, prior="strength", queries=queries, scaled="learned")
    fixed = create_level(D, prior="strength", queries=queries, scaled=True)
    assert learning.load_state_dict(fixed.state_dict(), strict=False).missing_keys == ["scale"]
    assert learning.scale.item() == pytest.approx(D ** (-3 / 4))
    local, g = torch.randn(N, D, H, W), torch.randn(N, D)
    prior = strengths(local)
    bare = (fixed(local, g).scores - prior) * math.sqrt(D)
    torch.testing.assert_close(learning(local, g).scores, prior + bare * D ** (-3 / 4))
    learning(local, g).map.square().sum().backward()
    assert learning.scale.grad.abs() > 0
    optimizer = create_optimizer(learning, load_recipe("probe"))
    for p in learning.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    assert learning.scale.item() == pytest.approx(D ** (-3 / 4))


@pytest.mark.parametrize("value", ["learnt", 1, None, 0.5])
def test_scaled_takes_one_word_beside_yes_and_no(value: object) -> None:
    with pytest.raises(UsageError, match=r"scaled is .*true, false, or learned"):
        pa.create_model("vgg_att2_concat_pc", 3, 0.0625, scaled=value)


@pytest.mark.parametrize(
    ("name", "prior"),
    [
        ("timm:test_resnet", "deep_strength"),
        ("vgg_pan", "strength"),
        ("fast_att_dp", "strength"),
    ],
)
def test_networks_take_a_prior_and_keep_it(name: str, prior: str, tmp_path: Path) -> None:
    width = {} if name.startswith("timm:") else {"width": 0.0625}
    model = settled(pa.create_model(name, 3, **width, prior=prior, scaled="learned"))
    for learned in ("prior.tau", ".scale"):
        found = [p for key, p in model.named_parameters() if key.endswith(learned)]
        assert len(found) == len(model.levels)
        for p in found:
            torch.nn.init.constant_(p, 1.3)
    images = torch.rand(2, 3, 32, 32)
    look, loaded = model.attend(images), pa.load(pa.save(model, tmp_path))
    assert loaded.config.options["prior"] == prior
    folded = pa.fold(model.double()).attend(images.double())
    for level, map_ in loaded.attend(images).maps.items():
        torch.testing.assert_close(map_, look.maps[level], rtol=0, atol=0)
        torch.testing.assert_close(folded.maps[level].float(), look.maps[level], rtol=1e-3, atol=1e-5)
