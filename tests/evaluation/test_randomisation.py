"""Randomisation of a model and of the class, and the similarity of maps that it rests on."""

from functools import partial

import pytest
import torch
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity as ssim
from torch import nn

import payattention as pa
from payattention import posthoc
from payattention.errors import PayAttentionError, UsageError
from payattention.evaluation.metrics import (
    attention_layers,
    cascade,
    class_randomisation,
    layers_from_the_top,
    model_randomisation,
    randomised,
    rank_correlation,
    structural_similarity,
)
from payattention.evaluation.metrics.similarity import Similarity
from payattention.models import Classifier, Look
from settling import settled


@pytest.mark.parametrize("values", [3, 1000])
def test_rank_correlation_is_scipys(values: int) -> None:
    """Few values make many ties."""
    maps, others = (torch.randint(values, (5, 6, 7)).float() for _ in range(2))
    expected = [spearmanr(one.flatten(), other.flatten()).statistic for one, other in zip(maps, others, strict=True)]
    assert rank_correlation(maps, others).tolist() == pytest.approx(expected, abs=1e-6)


def test_rank_correlation_of_constant_maps() -> None:
    """Nothing can be said of the first if it is constant; a second one that is has no order."""
    maps = torch.stack([torch.rand(3, 4), torch.rand(3, 4), torch.ones(3, 4)])
    others = torch.stack([maps[0] ** 3, torch.ones(3, 4), torch.rand(3, 4)])
    assert rank_correlation(maps, others).nan_to_num(9).tolist() == [pytest.approx(1), 0, 9]


def test_structural_similarity_is_scikit_images() -> None:
    maps, others = torch.rand(3, 9, 8), torch.rand(3, 9, 8)
    for heat in (*maps, *others):
        heat[0, 0], heat[0, 1] = 0, 1
    expected = [ssim(a, b, data_range=1.0) for a, b in zip(maps.numpy(), others.numpy(), strict=True)]
    assert structural_similarity(3 * maps + 2, others).tolist() == pytest.approx(expected, abs=1e-5)
    with pytest.raises(UsageError, match="maps of 6x9 are too small for windows of 7x7"):
        structural_similarity(maps[:, :, :6], others[:, :, :6])


@pytest.mark.parametrize("similarity", [rank_correlation, structural_similarity])
def test_broken_maps_are_refused(similarity: Similarity) -> None:
    maps = torch.rand(2, 8, 8)
    broken = maps.clone()
    broken[1, 2, 2] = torch.nan
    for pair in ((maps, broken), (broken, maps)):
        with pytest.raises(PayAttentionError, match="1 of 2 maps"):
            similarity(*pair)


class Linear(Classifier):
    """A map that is what one layer makes of the picture, and a head that it does not see."""

    levels = ("layer",)

    def __init__(self) -> None:
        super().__init__(1)
        self.layer, self.head = nn.Conv2d(1, 1, 1, bias=False), nn.Linear(64, 3)
        self.unused = nn.Parameter(torch.ones(1))

    def look(self, images: torch.Tensor, query: torch.Tensor | None) -> Look:
        scores = self.layer(images)[:, 0]
        return Look(self.head(scores.flatten(1)), {"layer": scores})


def explained(model: Classifier, images: torch.Tensor) -> dict[str, torch.Tensor]:
    return dict(model.attend(images).maps)


def test_only_what_a_map_depends_on_moves_it() -> None:
    """One weight, drawn anew, keeps the order of the pixels or turns it round."""
    model, images = Linear().eval(), torch.rand(3, 1, 8, 8)
    before = {name: p.clone() for name, p in model.named_parameters()}
    parts = {"head": ["head"], "both": ["head", "layer"]}
    found = model_randomisation(model, partial(explained, model), images, parts, draws=1)
    assert found["head"]["layer"].tolist() == pytest.approx([1, 1, 1])
    assert found["both"]["layer"].abs().tolist() == pytest.approx([1, 1, 1])
    many = model_randomisation(model, partial(explained, model), images, parts, draws=20)
    assert many["both"]["layer"].abs().max() < 0.7  # twenty coins
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name])


def test_a_draw_keeps_the_size_and_repeats() -> None:
    layer = nn.Sequential(nn.Linear(50, 60))
    weight = layer[0].weight
    nn.init.normal_(weight, mean=2.0, std=0.5)
    size, kept = weight.square().mean().sqrt().item(), weight.detach().clone()
    with randomised(layer, ["0"]):
        first = weight.detach().clone()
    with randomised(layer, ["0"]):
        assert torch.equal(weight, first)
    with randomised(layer, ["0"], seed=1):
        assert not torch.equal(weight, first)
    assert torch.equal(weight, kept)
    assert first.square().mean().sqrt().item() == pytest.approx(size, rel=0.05)
    assert abs(first.mean().item()) < 0.15
    with pytest.raises(ZeroDivisionError), randomised(layer, ["0"]):
        _ = 1 / 0
    assert torch.equal(weight, kept)


@pytest.fixture(scope="module")
def attentive() -> Classifier:
    torch.manual_seed(0)
    return settled(pa.create_model("vgg_att2_concat_pc", 3, 0.0625))


def test_layers_come_from_the_top(attentive: Classifier) -> None:
    """The head, then the attention, then the trunk from its end; all that has parameters, each once."""
    images = torch.rand(1, 3, 32, 32)
    layers = layers_from_the_top(attentive, images)
    own = {name.rpartition(".")[0] for name, _ in attentive.named_parameters()}
    assert set(layers) == own
    assert len(layers) == len(own)
    parts = [name.partition(".")[0] for name in layers]
    assert list(dict.fromkeys(parts)) == ["head", "attention", "trunk"]
    first = next(name for name, module in attentive.trunk.named_modules() if isinstance(module, nn.Conv2d))
    assert f"trunk.{first}" in layers[-2:]
    assert not any(module._forward_pre_hooks for module in attentive.modules())


def test_a_layer_that_is_never_called_stands_where_its_user_does() -> None:
    model = pa.wrap(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(2), _Tokens(), nn.Linear(8, 2)), image_size=32)
    layers = layers_from_the_top(model, torch.rand(1, 3, 32, 32))
    assert layers == ("network.3", "network.2.attention.out_proj", "network.2.attention", "network.0")


class _Tokens(nn.Module):
    """Self-attention, which uses the weights of its last layer without calling it."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x.transpose(1, 2)
        return self.attention(tokens, tokens, tokens)[0].mean(1)


def test_a_cascade_grows_from_the_top(attentive: Classifier) -> None:
    images = torch.rand(1, 3, 32, 32)
    layers = layers_from_the_top(attentive, images)
    every = cascade(attentive, images)
    assert list(every) == list(layers)
    assert [len(step) for step in every.values()] == list(range(1, len(layers) + 1))
    few = cascade(attentive, images, steps=4)
    assert list(few) == ["last layer", "last 25 %", "last 50 %", "last 75 %", "all"]
    assert few["last layer"] == layers[:1]
    assert few["all"] == layers
    assert all(step == layers[: len(step)] for step in few.values())


def test_attention_layers_are_what_scores(attentive: Classifier) -> None:
    assert attention_layers(attentive) == tuple(
        f"attention.levels.{level}.compatibility.u" for level in ("layer10", "layer13")
    )
    assert attention_layers(pa.create_model("vgg_gap", 3, 0.0625)) == ()


def test_random_attention_is_told_from_trained(attentive: Classifier) -> None:
    """Over many draws; what is behind the attention does not move its maps, and all is as it was afterwards."""
    images = torch.rand(4, 3, 32, 32)
    before = {name: p.clone() for name, p in attentive.state_dict().items()}
    parts = {"attention": attention_layers(attentive), "last layer": cascade(attentive, images, 1)["last layer"]}

    @torch.no_grad()
    def explain(x: torch.Tensor) -> dict[str, torch.Tensor]:
        return dict(attentive.attend(x).maps)

    found = model_randomisation(attentive, explain, images, parts, draws=20)
    for level in attentive.levels:
        assert found["last layer"][level].tolist() == pytest.approx([1] * 4)
        assert abs(found["attention"][level].mean()) < 0.3
    for name, value in attentive.state_dict().items():
        assert torch.equal(value, before[name])


def test_post_hoc_maps_are_randomised_by_the_same_call(attentive: Classifier) -> None:
    images = torch.rand(2, 3, 32, 32)
    explain = partial(posthoc.grad_cam, attentive, labels=torch.tensor([0, 1]))
    found = model_randomisation(attentive, explain, images, cascade(attentive, images, 2), seed=1)
    assert list(found) == ["last layer", "last 50 %", "all"]
    assert all(values.shape == (2,) for step in found.values() for values in step.values())
    assert (found["all"]["layer13"] < 0.99).all()


def test_class_randomisation_by_hand(attentive: Classifier) -> None:
    """Maps of the class's number, and one that asks for no class."""
    images, labels = torch.rand(30, 1, 4, 4), torch.arange(30) % 3
    asked = []

    def explain(x: torch.Tensor, classes: torch.Tensor) -> dict[str, torch.Tensor]:
        asked.append(classes)
        sign = torch.where(classes == 0, -1.0, 1.0)[:, None, None]
        return {"of classes": sign * x[:, 0], "of none": x[:, 0]}

    found = class_randomisation(explain, images, labels, 3)
    own, other = asked
    assert torch.equal(own, labels)
    assert (other != labels).all()
    assert set(other.tolist()) == {0, 1, 2}
    expected = torch.where((own == 0) == (other == 0), 1.0, -1.0)
    torch.testing.assert_close(found["of classes"], expected)
    torch.testing.assert_close(found["of none"], torch.ones(30))
    with pytest.raises(UsageError, match="only one class"):
        class_randomisation(explain, images, labels, 1)
