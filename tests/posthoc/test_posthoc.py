"""Post-hoc maps against loops and other libraries, on every network, and the model left as it was."""

from importlib.util import find_spec

import pytest
import torch
from torch import Tensor, nn

import payattention as pa
from payattention import posthoc
from payattention.errors import UsageError
from payattention.models import Classifier, Look
from payattention.posthoc import METHODS
from payattention.posthoc.hooks import local_features
from payattention.system import extras
from settling import settled

SMALL = 0.0625
QUICK = [name for name, method in METHODS.items() if not method.costly]
HAS_EXTRA = all(find_spec(package) for package in ("torchcam", "captum"))
extra = pytest.mark.skipif(not HAS_EXTRA, reason="needs the extra posthoc")


class Toy(Classifier):
    """Three channels in, two local ones out, and logits that are any linear function of them: gradients are weights."""

    def __init__(self) -> None:
        super().__init__()
        self.preprocessing = nn.Identity()
        self.local = nn.Conv2d(3, 2, 1)
        self.classifier = nn.Linear(2 * 3 * 4, 5)

    def local_layers(self) -> dict[str, nn.Module]:
        return {"local": self.local}

    def look(self, images: Tensor, query: Tensor | None) -> Look:
        return Look(self.classifier(self.local(images).flatten(1)))


@pytest.fixture
def toy() -> Toy:
    return Toy().double().eval()


@pytest.fixture
def pictures() -> Tensor:
    return torch.rand(2, 3, 3, 4, dtype=torch.float64)


def of_toy(toy: Toy, pictures: Tensor, n: int) -> tuple[list[list[float]], list[list[float]], int]:
    """Features and gradients of an image, by channel and position, and its predicted class."""
    features = toy.local(pictures)[n].flatten(1).tolist()
    label = int(toy(pictures)[n].argmax())
    return features, toy.classifier.weight[label].view(2, 12).tolist(), label


def test_activation_is_the_mean_power(toy: Toy, pictures: Tensor) -> None:
    maps = posthoc.activation(toy, pictures, power=3.0)["local"]
    for n in range(2):
        a, b = of_toy(toy, pictures, n)[0]
        by_hand = [(abs(x) ** 3 + abs(y) ** 3) / 2 for x, y in zip(a, b, strict=True)]
        assert maps[n].flatten().tolist() == pytest.approx(by_hand)


def test_grad_cam_is_that_of_loops(toy: Toy, pictures: Tensor) -> None:
    maps = posthoc.grad_cam(toy, pictures)["local"]
    for n in range(2):
        features, gradients, _ = of_toy(toy, pictures, n)
        weights = [sum(g) / 12 for g in gradients]
        by_hand = [max(0, sum(w * f[i] for w, f in zip(weights, features, strict=True))) for i in range(12)]
        assert maps[n].flatten().tolist() == pytest.approx(by_hand)


def test_grad_cam_plus_plus_is_that_of_loops(toy: Toy, pictures: Tensor) -> None:
    """Equation 19 of its paper, whose derivatives of exp(logit) are powers of the logit's gradient."""
    maps = posthoc.grad_cam_plus_plus(toy, pictures)["local"]
    for n in range(2):
        features, gradients, _ = of_toy(toy, pictures, n)
        weights = []
        for f, g in zip(features, gradients, strict=True):
            alphas = [x**2 / (2 * x**2 + sum(f) * x**3) for x in g]
            weights.append(sum(alpha * max(0, x) for alpha, x in zip(alphas, g, strict=True)))
        by_hand = [max(0, sum(w * f[i] for w, f in zip(weights, features, strict=True))) for i in range(12)]
        assert maps[n].flatten().tolist() == pytest.approx(by_hand)


def test_a_channel_without_gradient_weighs_nothing(toy: Toy, pictures: Tensor) -> None:
    nn.init.zeros_(toy.classifier.weight)
    assert (posthoc.grad_cam_plus_plus(toy, pictures)["local"] == 0).all()


def test_another_class_can_be_asked_for(toy: Toy, pictures: Tensor) -> None:
    predicted = toy(pictures).argmax(1)
    asked = posthoc.grad_cam(toy, pictures, predicted)["local"]
    torch.testing.assert_close(asked, posthoc.grad_cam(toy, pictures)["local"])
    others = [posthoc.grad_cam(toy, pictures, (predicted + k) % 5)["local"] for k in range(1, 5)]
    assert any(not torch.equal(asked, other) for other in others)


@pytest.mark.float32
def test_grad_cam_is_cam_where_features_are_averaged(images: Tensor) -> None:
    """Selvaraju et al., 2017, section 3.1: up to the number of positions."""
    model = settled(pa.create_model("vgg_gap", 3, SMALL))
    cam = posthoc.cam(model, images)["last layer"]
    assert cam.max() > 0
    torch.testing.assert_close(posthoc.grad_cam(model, images)["layer13"] * cam[0].numel(), cam)


def test_resnets_cam_adds_up_to_its_logit(images: Tensor) -> None:
    model = settled(pa.create_model("resnet164", 3, SMALL))
    labels = torch.tensor([0, 1, 2, 0])
    logits = model(images).gather(1, labels[:, None]).squeeze(1)
    torch.testing.assert_close(
        model.class_map(images, labels).mean((1, 2)) + model.classifier.bias[labels], logits, atol=1e-5, rtol=1e-5
    )


@pytest.mark.float32
@extra
def test_grad_cam_is_torchcams(model: Classifier, images: Tensor) -> None:
    from torchcam.methods import GradCAM

    settled(model)
    layers = model.local_layers()
    with GradCAM(model, list(layers.values())) as extract:
        logits = model(images)
        theirs = extract(logits.argmax(1).tolist(), logits, normalized=False)
    for ours, other in zip(posthoc.grad_cam(model, images).values(), theirs, strict=True):
        torch.testing.assert_close(ours, other)


@extra
def test_score_cam_is_that_of_loops(toy: Toy, pictures: Tensor) -> None:
    """Mask the picture by each channel, stretched to 0 ... 1; weigh channels by the softmax of what the logit gains."""
    maps = posthoc.score_cam(toy, pictures)["local"]
    for n in range(2):
        features, _, label = of_toy(toy, pictures, n)
        gains = []
        for f in features:
            mask = torch.tensor([(x - min(f)) / (max(f) - min(f)) for x in f], dtype=torch.float64).view(3, 4)
            gains.append((toy(pictures[n : n + 1] * mask) - toy(pictures[n : n + 1]))[0, label])
        weights = torch.stack(gains).softmax(0).tolist()
        by_hand = [max(0, sum(w * f[i] for w, f in zip(weights, features, strict=True))) for i in range(12)]
        assert maps[n].flatten().tolist() == pytest.approx(by_hand, abs=1e-6)


@extra
def test_integrated_gradients_of_a_linear_network_are_inputs_times_weights(toy: Toy, pictures: Tensor) -> None:
    maps = posthoc.integrated_gradients(toy, pictures)["pixels"]
    for n in range(2):
        _, gradients, _ = of_toy(toy, pictures, n)
        into_pixels = torch.einsum("kc,ki->ci", toy.local.weight[:, :, 0, 0], torch.tensor(gradients).double())
        attributions = (pictures[n].flatten(1) * into_pixels).sum(0).abs()
        torch.testing.assert_close(maps[n].flatten(), attributions, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", pa.list_models())
def test_every_network(name: str) -> None:
    model = settled(pa.create_model(name, 3, SMALL))
    images = torch.rand(2, 3, 32, 40)
    model.train()
    next(iter(model.children())).eval()
    before = State(model)
    for key in QUICK:
        method = METHODS[key]
        if (missing := method.missing(model)) is not None:
            assert key == "cam"
            with pytest.raises(UsageError, match="CAM is for networks"):
                method.maps(model, images)
            assert model.name in missing
            continue
        maps = method.maps(model, images)
        assert list(maps) == (["last layer"] if key == "cam" else list(model.local_layers()))
        for values in maps.values():
            assert values.ndim == 3
            assert len(values) == 2
            assert (values >= 0).all()
            assert values.isfinite().all()
            assert not values.requires_grad
    if model.levels:
        assert list(model.local_layers()) == list(model.levels)
    before.check(model)


@pytest.mark.float32
@pytest.mark.parametrize("taps", ["before", "after"])
def test_local_layers_give_what_attention_weighs(taps: str, images: Tensor) -> None:
    model = settled(pa.create_model("vgg_att3_concat_pc", 3, SMALL, taps=taps))
    with local_features(model) as features:
        maps = model.attend(images).maps
    weighed = model.trunk(model.prepared(images)).local
    for level in model.levels:
        assert features[level].shape[2:] == maps[level].shape[1:]
        torch.testing.assert_close(features[level], weighed[level])


@extra
@pytest.mark.parametrize("freeze", [False, True])
def test_an_attached_backbone(freeze: bool) -> None:
    model = pa.attach("resnet10t", 3, freeze=freeze).eval()
    model.requires_grad_(not freeze)  # a model that somebody froze from end to end
    images = torch.rand(2, 3, 64, 70)
    grids = {name: maps.shape for name, maps in model.attend(images).maps.items()}
    before = State(model.train())
    for name in ("activation", "grad_cam", "grad_cam_plus_plus", "integrated_gradients"):
        maps = METHODS[name].maps(model, images)
        assert {layer: values.shape for layer, values in maps.items()} in (grids, {"pixels": (2, 64, 70)})
        assert all(values.isfinite().all() for values in maps.values())
    before.check(model)


@extra
def test_costly_methods_leave_a_model_as_it_was(model: Classifier, images: Tensor) -> None:
    settled(model).train()
    before = State(model)
    for name in ("score_cam", "integrated_gradients"):
        maps = METHODS[name].maps(model, images)
        assert all((values >= 0).all() for values in maps.values())
    before.check(model)


@pytest.mark.parametrize(("name", "package"), [("score_cam", "torchcam"), ("integrated_gradients", "captum")])
def test_a_missing_extra_is_named(
    name: str, package: str, model: Classifier, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=rf"needs the package {package}: pip install 'payattention\[posthoc\]'"):
        METHODS[name].maps(model, images)


def test_a_network_that_names_no_layer(images: Tensor) -> None:
    with pytest.raises(UsageError, match=r"Classifier does not say where its local features are"):
        posthoc.grad_cam(Classifier(), images)


class State:
    """What a method must leave alone: modes, hooks, gradients, and whether they are wanted."""

    def __init__(self, model: nn.Module) -> None:
        self.modes = [module.training for module in model.modules()]
        self.wanted = [p.requires_grad for p in model.parameters()]
        self.numbers = [values.clone() for values in model.state_dict().values()]

    def check(self, model: nn.Module) -> None:
        after = State(model)
        assert after.modes == self.modes
        assert after.wanted == self.wanted
        assert all(torch.equal(a, b) for a, b in zip(after.numbers, self.numbers, strict=True))
        assert all(p.grad is None for p in model.parameters())
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
