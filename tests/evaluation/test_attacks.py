"""The attacks: against a linear model's closed form, their invariants, and the whole registry."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

import payattention as pa
from payattention.data import ImageSet
from payattention.errors import DataError, UsageError
from payattention.evaluation import classify
from payattention.evaluation.attack import attack, predicted
from payattention.evaluation.attacks import FGSM, PGD, Attack, Noise, ascent, check_eps, log_odds_against, named_attacks
from payattention.figures.attack import attack_figure
from payattention.models import Classifier, Look, ModelConfig
from payattention.models.preprocessing import PREPROCESSINGS
from settling import settled

SMALL = 0.0625
ATTACKS = (Noise(), FGSM(), FGSM("logit"), PGD(3), PGD(2, random_start=False), PGD(3, 40.0))


class Line(Classifier):
    """A linear model of 4x4 pixels, whose best attack is known: each value against its weight."""

    def __init__(self, classes: int = 2, scale: float = 1.0) -> None:
        super().__init__()
        self.preprocessing = nn.Identity()
        self.linear = nn.Linear(48, classes)
        self.linear.weight.data.normal_().mul_(scale)
        self.linear.bias.data.zero_()
        self.config = ModelConfig("line", classes)

    def look(self, images: torch.Tensor, query: torch.Tensor | None) -> Look:
        return Look(self.linear(self.prepared(images).flatten(1)))

    def away(self, labels: torch.Tensor) -> torch.Tensor:
        """The direction (n, 3, 4, 4) that the margin of each label over the other class falls in fastest."""
        weight = self.linear.weight.detach()
        return (weight[1 - labels] - weight[labels]).view(-1, 3, 4, 4)


def grey(count: int = 64) -> torch.Tensor:
    """Images that no attack of size 16 takes out of the range of pixels."""
    return 0.3 + 0.4 * torch.rand(count, 3, 4, 4)


@pytest.mark.parametrize("method", [FGSM(), PGD(), PGD(steps=8, random_start=False), PGD(steps=2, step_size=255.0)])
@pytest.mark.parametrize("low", [0.3, 0.0], ids=["inside", "clipped"])
def test_a_linear_model_is_attacked_as_well_as_can_be(method: Attack, low: float) -> None:
    model, images = Line(), low + (1 - 2 * low) * torch.rand(64, 3, 4, 4)
    labels = predicted(model, images)
    best = (images + 8 / 255 * model.away(labels).sign()).clamp(0, 1)
    torch.testing.assert_close(method(model, images, labels, 8.0), best)


@pytest.mark.parametrize("method", [FGSM(towards=True), PGD(8, random_start=False, towards=True)])
def test_a_linear_model_is_led_to_a_class_as_well_as_can_be(method: Attack) -> None:
    model, images = Line(), grey()
    wanted = 1 - predicted(model, images)
    best = images + 8 / 255 * model.away(1 - wanted).sign()
    torch.testing.assert_close(method(model, images, wanted, 8.0), best)


@pytest.mark.float32
def test_the_fooling_rate_of_a_linear_model_is_known() -> None:
    """A margin m falls by eps times the weights' L1 norm; what is left tells who is fooled, and who errs."""
    random = np.random.default_rng(0)
    pixels = random.integers(80, 175, (200, 4, 4, 3), dtype=np.uint8)
    data = ImageSet("grey", "test", pixels, random.integers(0, 2, 200), ("a", "b"))
    model = Line(scale=0.2)
    weight = model.linear.weight.detach().double().numpy()
    model.linear.bias.data = torch.from_numpy(-weight.sum(1) / 2).float()
    margin = (pixels.transpose(0, 3, 1, 2).reshape(200, 48) / 255 - 0.5) @ (weight[1] - weight[0])  # > 0: class b
    reach = np.abs(weight[1] - weight[0]).sum()
    wrong = (margin > 0) != data.labels

    def fooled(eps: float) -> np.ndarray:
        return np.abs(margin) < eps / 255 * reach

    result = attack(model, data, {"fgsm": FGSM()}, (0.5, 1.0, 2.0))
    assert result.clean_error == pytest.approx(100 * wrong.mean())
    assert {row.eps for row in result.attacks} == {0.5, 1.0, 2.0}
    for row in result.attacks:
        assert 0 < row.fooling_rate < 100
        assert row.fooling_rate == pytest.approx(100 * fooled(row.eps).mean())
        assert row.error == pytest.approx(100 * (wrong ^ fooled(row.eps)).mean())  # who was wrong becomes right

    result = attack(model, data, {"fgsm": FGSM()}, (0.5, 1.0, 2.0), away_from="true")
    for row in result.attacks:  # who was wrong is led further astray
        assert row.fooling_rate == pytest.approx(100 * (fooled(row.eps) & ~wrong).mean())
        assert row.error == pytest.approx(100 * (wrong | fooled(row.eps)).mean())


def test_the_loss_ascends_as_the_cross_entropy_does() -> None:
    logits = torch.randn(20, 5, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 5, (20,))
    (ours,) = torch.autograd.grad(log_odds_against(logits, labels).sum(), logits)
    cross_entropy = F.cross_entropy(logits, labels, reduction="none")
    (theirs,) = torch.autograd.grad(cross_entropy.sum(), logits)
    torch.testing.assert_close(log_odds_against(logits, labels).exp().log1p(), cross_entropy)
    torch.testing.assert_close(theirs, ours * (1 - (-cross_entropy).exp())[:, None])  # the same up to 1 - p > 0


def test_the_logit_alone_falls_along_its_own_weights() -> None:
    """With three classes its direction is not that of the probability, where a linear model's logit is known."""
    model, images = Line(3), grey()
    labels = predicted(model, images)
    down = -model.linear.weight.detach()[labels].view(-1, 3, 4, 4).sign()
    for method in (FGSM("logit"), PGD(8, random_start=False, objective="logit")):
        torch.testing.assert_close(method(model, images, labels, 8.0), (images + 8 / 255 * down).clamp(0, 1))
    assert not torch.equal(FGSM()(model, images, labels, 8.0), FGSM("logit")(model, images, labels, 8.0))
    with pytest.raises(UsageError, match="unknown objective 'logits'; did you mean 'logit'"):
        FGSM("logits")


def test_a_model_that_is_too_sure_for_its_cross_entropy_is_still_attacked() -> None:
    model, images = Line(scale=1000.0), grey()
    labels = predicted(model, images)
    inputs = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(inputs), labels, reduction="sum"), inputs)
    sure = (gradient == 0).flatten(1).all(1)
    assert sure.sum() > 32, "the cross-entropy's own gradient should have vanished"
    torch.testing.assert_close(ascent(model, images, labels), model.away(labels).sign())


@settings(max_examples=60, deadline=None)
@given(
    method=st.one_of(
        st.just(Noise()),
        st.just(FGSM()),
        st.builds(PGD, st.integers(1, 3), st.none() | st.floats(0.01, 255), st.booleans()),
    ),
    eps=st.floats(0, 255),
    seed=st.integers(0, 1000),
)
def test_no_value_leaves_the_ball_or_the_range_of_pixels(method: Attack, eps: float, seed: int) -> None:
    torch.manual_seed(seed)
    images = torch.rand(4, 3, 4, 4)
    images[0], images[1] = images[0].round(), 0
    attacked = method(Line(3), images, torch.tensor([0, 1, 2, 0]), eps)
    assert ((attacked - images).abs() <= eps / 255 + 1e-6).all()
    assert ((attacked >= 0) & (attacked <= 1)).all()


@pytest.mark.parametrize("method", ATTACKS, ids=repr)
def test_an_attack_of_no_size_changes_nothing(method: Attack) -> None:
    images = torch.rand(4, 3, 4, 4)
    assert torch.equal(method(Line(), images, torch.tensor([0, 1, 0, 1]), 0.0), images)


@pytest.mark.parametrize("method", ATTACKS, ids=repr)
def test_one_size_at_a_time_or_all_at_once(method: Attack) -> None:
    model, images, labels = Line(), torch.rand(4, 3, 4, 4), torch.tensor([0, 1, 0, 1])
    torch.manual_seed(1)
    first, _ = method.versions(model, images, labels, [4.0, 8.0])
    torch.manual_seed(1)
    assert torch.equal(first, method(model, images, labels, 4.0))


def test_noise_goes_as_far_as_fgsm_and_everywhere() -> None:
    images = grey()
    change = 255 * (Noise()(Line(), images, predicted(Line(), images), 4.0) - images)
    torch.testing.assert_close(change.abs(), torch.full_like(change, 4.0), rtol=1e-4, atol=0.0)
    assert abs(change.mean()) < 0.5


@pytest.mark.parametrize("name", PREPROCESSINGS)
def test_the_gradient_reaches_the_pixels_through_every_preprocessing(name: str) -> None:
    """A small step along it raises the loss by its L1 norm, so it is the gradient with respect to the pixels."""
    model = settled(pa.create_model("vgg_att2_concat_pc", 3, SMALL, preprocessing=name))
    images = 0.2 + 0.6 * torch.rand(3, 3, 32, 32)
    labels = predicted(model, images)
    inputs = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(log_odds_against(model(inputs), labels).sum(), inputs)
    direction = ascent(model, images, labels)
    assert torch.equal(direction, gradient.sign())
    assert (direction != 0).float().mean() > 0.9
    with torch.no_grad():
        step = 0.1 / 255
        ahead, behind = (log_odds_against(model(images + way * direction), labels) for way in (step, -step))
    torch.testing.assert_close((ahead - behind) / (2 * step), gradient.abs().sum((1, 2, 3)), rtol=0.1, atol=0.0)


def timm_model(freeze: bool) -> Callable[[], Classifier]:
    return lambda: pa.attach("resnet10t", 3, levels=2, freeze=freeze)


NETWORKS: dict[str, Callable[[], Classifier]] = {
    **{name: lambda name=name: pa.create_model(name, 3, SMALL) for name in pa.list_models()},
    "timm": timm_model(freeze=False),
    "timm, frozen": timm_model(freeze=True),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_attacked_and_stays_as_it_is(name: str) -> None:
    model = settled(NETWORKS[name]()).double()  # in float32, 164 layers of rounding hide a small step's effect
    before = {key: value.clone() for key, value in model.state_dict().items()}
    trained = [p.requires_grad for p in model.parameters()]
    images = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    labels = predicted(model, images)
    attacked = FGSM()(model, images, labels, 1e-5)  # as far as such a depth is straight
    assert (attacked != images).flatten(1).any(1).all()
    loss_before, loss_after = (log_odds_against(model(x), labels) for x in (images, attacked))
    assert (loss_after > loss_before).all()

    assert not model.training
    assert all(p.grad is None for p in model.parameters())
    assert [p.requires_grad for p in model.parameters()] == trained
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.float32
def test_a_set_is_attacked_image_by_image(image_set: ImageSet) -> None:
    model = settled(pa.create_model("vgg_att2_concat_pc", 2, SMALL))
    result = attack(model, image_set, {"fgsm": FGSM()}, (2.0, 8.0), away_from="true")
    for row in result.attacks:
        fooled = wrong = 0
        for pixels, label in zip(image_set.images, image_set.labels.tolist(), strict=True):
            image = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
            inputs = image.clone().requires_grad_()
            F.cross_entropy(model(inputs), torch.tensor([label])).backward()
            attacked = (image + row.eps / 255 * inputs.grad.sign()).clamp(0, 1)
            seen = int(model(attacked).argmax())
            fooled += seen != int(model(image).argmax())
            wrong += seen != label
        assert row.fooling_rate == pytest.approx(100 * fooled / 32, abs=3.2)  # one image may turn on rounding
        assert row.error == pytest.approx(100 * wrong / 32, abs=3.2)


def test_the_seed_decides_and_other_random_numbers_go_on(image_set: ImageSet) -> None:
    model = settled(pa.create_model("vgg", 2, SMALL))
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    results = [attack(model, image_set, {"noise": Noise()}, (32.0, 64.0), seed=seed) for seed in (0, 0)]
    assert torch.equal(torch.rand(3), expected)
    assert results[0].attacks == results[1].attacks


@pytest.mark.parametrize("eps", [-1.0, 256.0, float("nan"), float("inf")])
def test_a_size_that_no_attack_has(eps: float, image_set: ImageSet) -> None:
    model = Line()
    with pytest.raises(UsageError, match=r"eps is .* 0 to 255"):
        FGSM()(model, torch.rand(1, 3, 4, 4), torch.tensor([0]), eps)
    with pytest.raises(UsageError, match="eps is"):
        attack(model, image_set, {"fgsm": FGSM()}, (1.0, eps))
    check_eps([0.0, 0.5, 255.0])


def test_settings_that_make_no_attack() -> None:
    with pytest.raises(UsageError, match="steps is 0: PGD takes at least 1 step"):
        PGD(steps=0)
    for size in (0.0, -1.0, 256.0, float("nan")):
        with pytest.raises(UsageError, match="step_size is"):
            PGD(step_size=size)
    with pytest.raises(UsageError, match="unknown attack 'fsgm'; did you mean 'fgsm'"):
        named_attacks(["fsgm"], PGD())


def test_a_class_to_lead_away_from_and_the_sets_own_classes(image_set: ImageSet) -> None:
    with pytest.raises(UsageError, match="unknown class to lead away from 'treu'; did you mean 'true'"):
        attack(Line(), image_set, {"fgsm": FGSM()}, away_from="treu")
    with pytest.raises(UsageError, match="the model has 3 classes, noise has 2"):
        attack(Line(3), image_set, {"fgsm": FGSM()})


def test_a_model_whose_training_diverged_is_not_called_robust(image_set: ImageSet) -> None:
    model = settled(pa.create_model("vgg", 2, SMALL))
    model.classifier[0].weight.data[0] = float("nan")
    diverged = "the logits of this vgg are not finite: has its training diverged"
    with pytest.raises(DataError, match=diverged):
        attack(model, image_set, {"fgsm": FGSM()})
    with pytest.raises(DataError, match=diverged):
        classify(model, image_set)
    with pytest.raises(DataError, match=diverged):
        attack_figure({"vgg": model}, {"one": Image.fromarray(image_set.images[0])}, FGSM())
