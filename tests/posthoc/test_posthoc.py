"""Post-hoc maps against loops and other libraries, on every network, and the model left as it was."""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import payattention as pa
from payattention import posthoc
from payattention.errors import UsageError
from payattention.models import Classifier, Look
from payattention.posthoc import METHODS
from payattention.posthoc.baselines import BASELINES, baseline_of
from payattention.posthoc.hooks import local_features, with_features
from payattention.posthoc.perturbation import random_masks
from payattention.system import extras
from settling import settled

SMALL = 0.0625
QUICK = [name for name, method in METHODS.items() if not method.costly]
HAS_EXTRA = all(find_spec(package) for package in ("torchcam", "captum"))
extra = pytest.mark.skipif(not HAS_EXTRA, reason="needs the extra posthoc")


class Toy(Classifier):
    """Three channels in, two local ones out, and logits that are any linear function of them: gradients are weights."""

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.preprocessing = nn.Identity()
        self.local = nn.Conv2d(3, 2, 1, stride)
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


@pytest.mark.parametrize("baseline", BASELINES)
def test_score_cam_is_that_of_loops(baseline: str) -> None:
    """Enlarge a channel, stretch it to 0 ... 1, mask the picture; weigh by the softmax of what the logit gains."""
    toy, pictures = Toy(stride=2).double().eval(), torch.rand(2, 3, 6, 8, dtype=torch.float64)
    maps = posthoc.score_cam(toy, pictures, baseline=baseline, batch_size=1)["local"]
    for n in range(2):
        features, _, label = of_toy(toy, pictures, n)
        image, cover = pictures[n : n + 1], by_hand_baseline(pictures[n], baseline)
        gains = []
        for f in features:
            large = F.interpolate(torch.tensor(f).double().view(1, 1, 3, 4), (6, 8), mode="bilinear")
            mask = (large - large.min()) / (large.max() - large.min())
            gains.append((toy(mask * image + (1 - mask) * cover) - toy(cover))[0, label])
        weights = torch.stack(gains).softmax(0).tolist()
        by_hand = [max(0, sum(w * f[i] for w, f in zip(weights, features, strict=True))) for i in range(12)]
        assert maps[n].flatten().tolist() == pytest.approx(by_hand, abs=1e-6)


def by_hand_baseline(picture: Tensor, name: str) -> Tensor:
    if name == "black":
        return torch.zeros_like(picture)[None]
    if name == "mean":
        return torch.stack([torch.full_like(colour, float(colour.sum()) / colour.numel()) for colour in picture])[None]
    return F.interpolate(F.adaptive_avg_pool2d(picture[None], 4), picture.shape[1:], mode="bilinear")


@extra
@pytest.mark.parametrize("baseline", BASELINES)
def test_integrated_gradients_of_a_linear_network_are_inputs_times_weights(
    baseline: str, toy: Toy, pictures: Tensor
) -> None:
    maps = posthoc.integrated_gradients(toy, pictures, baseline=baseline)["pixels"]
    for n in range(2):
        _, gradients, _ = of_toy(toy, pictures, n)
        into_pixels = torch.einsum("kc,ki->ci", toy.local.weight[:, :, 0, 0], torch.tensor(gradients).double())
        attributions = (
            ((pictures[n] - by_hand_baseline(pictures[n], baseline)[0]).flatten(1) * into_pixels).sum(0).abs()
        )
        torch.testing.assert_close(maps[n].flatten(), attributions, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["xgrad_cam", "hires_cam", "layer_cam"])
def test_weights_of_each_position_are_those_of_loops(name: str, toy: Toy, pictures: Tensor) -> None:
    maps = METHODS[name].maps(toy, pictures)["local"]
    for n in range(2):
        features, gradients, _ = of_toy(toy, pictures, n)
        by_hand = []
        for i in range(12):
            total = 0.0
            for f, g in zip(features, gradients, strict=True):
                shared = sum(gj * fj / sum(f) for gj, fj in zip(g, f, strict=True))
                total += {"xgrad_cam": shared, "hires_cam": g[i], "layer_cam": max(0, g[i])}[name] * f[i]
            by_hand.append(max(0, total))
        assert maps[n].flatten().tolist() == pytest.approx(by_hand)


def test_eigen_cam_is_the_first_component(toy: Toy, pictures: Tensor) -> None:
    """By power iteration: the direction that the features of all positions are longest on."""
    maps = posthoc.eigen_cam(toy, pictures)["local"]
    for n in range(2):
        features = torch.tensor(of_toy(toy, pictures, n)[0]).double()  # (d, 12)
        direction = torch.ones(2, dtype=torch.float64)
        for _ in range(500):
            direction = features @ (features.T @ direction)
            direction /= direction.norm()
        lengths = direction @ features
        torch.testing.assert_close(maps[n].flatten(), (lengths * lengths.sum().sign()).relu(), atol=1e-5, rtol=1e-4)


def test_ablation_cam_is_that_of_loops(toy: Toy, pictures: Tensor) -> None:
    """In this toy a channel without features takes its part of the sum with it."""
    maps = posthoc.ablation_cam(toy, pictures, batch_size=1)["local"]
    for n in range(2):
        features, gradients, label = of_toy(toy, pictures, n)
        logit = toy(pictures)[n, label].item()
        parts = [sum(fi * gi for fi, gi in zip(f, g, strict=True)) for f, g in zip(features, gradients, strict=True)]
        by_hand = [max(0, sum(p / abs(logit) * f[i] for p, f in zip(parts, features, strict=True))) for i in range(12)]
        assert maps[n].flatten().tolist() == pytest.approx(by_hand)


@pytest.mark.parametrize("network", ["test_resnet", "test_vit"])
def test_ablation_cam_computes_once_what_does_not_change(network: str) -> None:
    """Each channel taken out in a pass of its own gives the same."""
    model = pa.wrap(timm.create_model(network, num_classes=3)).eval()
    side = model.min_size
    image = torch.rand(1, 3, side, side)
    with local_features(model) as features:
        logits = model(image)
    ((layer, local),) = features.items()
    label, left = int(logits.argmax()), []
    for channel in range(local.shape[1]):
        others = torch.ones(local.shape[1], 1, 1).index_fill(0, torch.tensor([channel]), 0)
        with with_features(model, layer, others.mul):
            left.append(model(image)[0, label])
    weights = (logits[0, label] - torch.stack(left)) / logits[0, label].abs()
    seen: list[int] = []
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    first.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    maps = posthoc.ablation_cam(model, image, batch_size=local.shape[1])[layer]
    torch.testing.assert_close(maps[0], (weights[:, None, None] * local[0]).sum(0).relu(), atol=1e-4, rtol=1e-3)
    assert seen == [1, 1]


def of_pixels(toy: Toy, n: int, pictures: Tensor) -> Tensor:
    """The gradient (3, h, w) of the toy's predicted logit for an image's pixels."""
    gradients = torch.tensor(of_toy(toy, pictures, n)[1]).double()
    return torch.einsum("kc,ki->ci", toy.local.weight[:, :, 0, 0], gradients).view(3, 3, 4).detach()


def test_gradients_of_a_linear_network_are_its_weights(toy: Toy, pictures: Tensor) -> None:
    """So is their mean over noisy copies."""
    for n in range(2):
        weights = of_pixels(toy, n, pictures)
        torch.testing.assert_close(posthoc.gradient(toy, pictures)["pixels"][n], weights.abs().amax(0))
        torch.testing.assert_close(posthoc.smooth_grad(toy, pictures, samples=3)["pixels"][n], weights.abs().amax(0))
        shares = posthoc.input_x_gradient(toy, pictures)["pixels"][n]
        torch.testing.assert_close(shares, (weights * pictures[n]).sum(0).abs())


def test_smooth_grad_is_that_of_loops(images: Tensor) -> None:
    model = settled(pa.create_model("vgg", 3, SMALL))
    labels, random = model(images).argmax(1), torch.Generator().manual_seed(4)
    span = images.amax((1, 2, 3)) - images.amin((1, 2, 3))
    total = torch.zeros_like(images)
    for _ in range(3):
        noise = torch.randn(images.shape[1:], generator=random)
        for n, image in enumerate(images):
            noisy = (image + 0.1 * span[n] * noise).requires_grad_()
            model(noisy[None])[0, labels[n]].backward()
            total[n] += noisy.grad
    model.zero_grad()
    maps = posthoc.smooth_grad(model, images, samples=3, noise=0.1, seed=4)["pixels"]
    torch.testing.assert_close(maps, (total / 3).abs().amax(1), atol=1e-5, rtol=1e-3)


class Rectified(Classifier):
    """ReLUs of every make: in place and not, up to 6, as a module and as a function."""

    def __init__(self) -> None:
        super().__init__()
        self.preprocessing = nn.Identity()
        self.layers = nn.ModuleList([nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)])
        self.relus = nn.ModuleList([nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6()])
        self.classifier = nn.Linear(4, 3)
        for module in self.layers:
            module.weight.data.mul_(5)

    def look(self, images: Tensor, query: Tensor | None) -> Look:
        x = images
        for layer, relu in zip(self.layers, [*self.relus, F.relu], strict=True):
            x = relu(layer(x))
        return Look(self.classifier(x.mean((2, 3))))


def test_guided_backprop_is_that_of_loops(images: Tensor) -> None:
    """Layer by layer: a ReLU passes back what is positive, where it was open."""
    model = Rectified().eval()
    labels = model(images).argmax(1)
    outputs = [images]
    for layer, ceiling in zip(model.layers, [torch.inf, torch.inf, 6, torch.inf], strict=True):
        outputs.append(layer(outputs[-1]).clamp(0, ceiling))
    gradient = model.classifier.weight[labels][:, :, None, None].expand_as(outputs[-1]) / 24**2
    for layer, x, ceiling in zip(
        model.layers[::-1], outputs[-2::-1], [torch.inf, 6, torch.inf, torch.inf], strict=True
    ):
        before = layer(x)
        gradient = gradient.relu() * ((before > 0) & (before < ceiling))
        gradient = F.conv_transpose2d(gradient, layer.weight)
    assert (outputs[3] == 6).any()
    maps = posthoc.guided_backprop(model, images)["pixels"]
    assert maps.max() > 0
    torch.testing.assert_close(maps, gradient.abs().amax(1).detach())
    assert not torch.equal(maps, posthoc.gradient(model, images)["pixels"])


@extra
@pytest.mark.parametrize("baseline", BASELINES)
def test_occlusion_is_captums(baseline: str, images: Tensor) -> None:
    from captum.attr import Occlusion

    model, images = settled(pa.create_model("vgg", 3, SMALL)), images[:2, :, :, :29].contiguous()
    for window, stride in ((8, 4), (7, 5)):
        theirs = Occlusion(model).attribute(
            images,
            (3, window, window),
            strides=(3, stride, stride),
            baselines=baseline_of(images, baseline),
            target=model(images).argmax(1),
        )
        ours = posthoc.occlusion(model, images, baseline=baseline, window=window, stride=stride)["pixels"]
        torch.testing.assert_close(ours, theirs[:, 0].relu(), atol=1e-5, rtol=1e-4)


def test_rise_is_that_of_loops(images: Tensor) -> None:
    model, images = settled(pa.create_model("vgg", 3, SMALL)), images[:2]
    maps = posthoc.rise(model, images, masks=5, batch_size=2, seed=3, baseline="black")["pixels"]
    random = torch.Generator().manual_seed(3)
    masks = random_masks(5, 32, 32, random)  # however many go in a batch
    for n, image in enumerate(images):
        label = model(images)[n].argmax()
        weighed = [model((mask * image)[None]).softmax(1)[0, label] * mask for mask in masks]
        torch.testing.assert_close(maps[n], (torch.stack(weighed).sum(0) / masks.sum(0)).detach())


def test_rises_masks_are_open_by_half() -> None:
    masks = random_masks(2000, 33, 20, torch.Generator().manual_seed(0))
    assert masks.shape == (2000, 33, 20)
    torch.testing.assert_close(torch.stack([masks.amin(), masks.amax()]), torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(masks.mean(0), torch.full((33, 20), 0.5), atol=0.05, rtol=0)


def attention_by_hand(model: Classifier, images: Tensor) -> list[Tensor]:
    return matrices_of(model.trunk.backbone.blocks, partial(model, images))


def matrices_of(blocks: Any, forward: Callable[[], Tensor]) -> list[Tensor]:
    """Each block's attention in a forward pass, from what goes into it, by its own query and key."""
    seen: list[Tensor] = []
    hooks = [block.attn.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])) for block in blocks]
    forward()
    for hook in hooks:
        hook.remove()
    matrices = []
    for block, tokens in zip(blocks, seen, strict=True):
        heads, dim = block.attn.num_heads, tokens.shape[2]
        q, k, _ = block.attn.qkv(tokens).split(dim, 2)
        each = [
            (a @ b.mT / (dim // heads) ** 0.5).softmax(2)
            for a, b in zip(q.split(dim // heads, 2), k.split(dim // heads, 2), strict=True)
        ]
        matrices.append(torch.stack(each, 1).detach())  # (n, heads, t, t)
    return matrices


def test_attention_rollout_is_that_of_loops() -> None:
    model, images = settled(pa.attach("test_vit", 3, levels=2), (160, 160)), torch.rand(2, 3, 160, 160)
    before, fused = State(model), [block.attn.fused_attn for block in model.trunk.backbone.blocks]
    maps = posthoc.attention_rollout(model, images)["tokens"]
    before.check(model)
    assert [block.attn.fused_attn for block in model.trunk.backbone.blocks] == fused
    assert maps.shape == (2, 10, 10)
    matrices = attention_by_hand(model, images)
    for n in range(2):
        rolled = torch.eye(101)
        for matrix in matrices:
            rolled = (0.5 * matrix[n].mean(0) + 0.5 * torch.eye(101)) @ rolled
        torch.testing.assert_close(rolled.sum(1), torch.ones(101))
        torch.testing.assert_close(maps[n].flatten(), rolled[1:, 1:].mean(0), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_attention_of_a_wrapped_transformer_is_that_of_loops(pool: str) -> None:
    """The class token's row where the network reads it, as the papers do, else the mean of the places' rows."""
    torch.manual_seed(0)
    network = timm.create_model("test_vit", num_classes=3, global_pool=pool).eval()
    model, images = pa.wrap(network), torch.rand(2, 3, 160, 160)
    maps = posthoc.attention_rollout(model, images)["tokens"]
    matrices = matrices_of(network.blocks, partial(model, images))
    kept = slice(1) if pool == "token" else slice(1, 101)
    rolled = torch.eye(101).expand(2, 101, 101)
    for matrix in matrices:
        rolled = (0.5 * matrix.mean(1) + 0.5 * torch.eye(101)) @ rolled
    torch.testing.assert_close(maps.flatten(1), rolled[:, kept, 1:].mean(1), atol=1e-6, rtol=1e-4)
    of_class = posthoc.gradient_attention(model, images, torch.tensor([0, 2]))["tokens"]
    assert of_class.shape == (2, 10, 10)
    assert (of_class >= 0).all()
    assert of_class.amax((1, 2)).min() > 0


def test_what_has_no_attention_of_tokens_says_what_to_take() -> None:
    channels = pa.attach("xcit_nano_12_p16_224", 3, levels=1)  # its attention is of channels to channels
    windows = pa.wrap(timm.create_model("test_resnet", num_classes=3))
    for model in (channels, windows):
        with pytest.raises(UsageError, match="is none: take grad_cam or layer_cam"):
            posthoc.attention_rollout(model, torch.rand(1, 3, 64, 64))
    with pytest.raises(UsageError, match="take grad_cam, which is CAM but for a factor"):
        posthoc.cam(windows, torch.rand(1, 3, 64, 64))


def test_grad_cam_is_cam_but_for_a_factor() -> None:
    """What the message of CAM says of networks that classify a mean of features."""
    model, images = settled(pa.create_model("vgg_gap", 3, SMALL)), torch.rand(2, 3, 32, 32)
    (own,), (other,) = (list(made(model, images).values()) for made in (posthoc.cam, posthoc.grad_cam))
    torch.testing.assert_close(own / own.amax((1, 2), keepdim=True), other / other.amax((1, 2), keepdim=True))


def test_gradient_attention_is_that_of_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an attention of our own in each block, which keeps its matrix and the gradient."""
    model, images = (
        settled(pa.attach("test_vit", 3, levels=1), (160, 160)).double(),
        torch.rand(1, 3, 160, 160).double(),
    )
    maps = posthoc.gradient_attention(model, images, torch.tensor([1]))["tokens"]
    blocks = model.trunk.backbone.blocks
    kept = []

    def plain(block: nn.Module) -> Callable[..., Tensor]:
        def forward(tokens: Tensor, **_: object) -> Tensor:
            n, t, dim = tokens.shape
            q, k, v = block.attn.qkv(tokens).view(n, t, 3, block.attn.num_heads, -1).permute(2, 0, 3, 1, 4)
            matrix = (q @ k.mT / q.shape[3] ** 0.5).softmax(3)
            matrix.retain_grad()
            kept.append(matrix)
            return block.attn.proj((matrix @ v).transpose(1, 2).reshape(n, t, dim))

        return forward

    for block in blocks:
        monkeypatch.setattr(block.attn, "forward", plain(block))
    model(images)[0, 1].backward()
    model.zero_grad()
    relevance = torch.eye(101).double()
    for matrix in kept:
        heads = [(a * g).clamp_min(0) for a, g in zip(matrix[0].detach(), matrix.grad[0], strict=True)]
        relevance = relevance + sum(heads) / len(heads) @ relevance
    expected = (relevance - torch.eye(101))[1:, 1:].mean(0)
    assert expected.max() > 0
    torch.testing.assert_close(maps.flatten(), expected)


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
            limited = {"cam": "CAM is for", "guided_backprop": "guided backprop is for"}
            with pytest.raises(UsageError, match=limited.get(key, "are for plain vision transformers")):
                method.maps(model, images)
            assert model.name in missing
            continue
        maps = method.maps(model, images)
        pixel_methods = ("gradient", "input_x_gradient", "guided_backprop")
        own = {"cam": ["last layer"], **{method: ["pixels"] for method in pixel_methods}}
        assert list(maps) == own.get(key, list(model.local_layers()))
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
@pytest.mark.parametrize(
    "name", [name for name in QUICK if METHODS[name].missing(pa.create_model("vgg_gap", 3, SMALL)) is None]
)
def test_a_look_takes_its_logits_from_the_one_pass_that_the_method_makes(name: str, images: Tensor) -> None:
    model, passes = settled(pa.create_model("vgg_gap", 3, SMALL)), []
    with torch.no_grad():
        expected = model(images)
    model.trunk.register_forward_hook(lambda *_: passes.append(name))
    logits, maps = METHODS[name].look(model, images)
    assert len(passes) == (2 if name == "cam" else 1)  # which is no pass to the logits
    torch.testing.assert_close(logits, expected)
    assert not logits.requires_grad
    for one, other in zip(maps.values(), METHODS[name].maps(model, images).values(), strict=True):
        torch.testing.assert_close(one, other)


def test_nothing_is_kept_for_gradients_of_what_comes_before_the_layer(images: Tensor) -> None:
    model, kept = settled(pa.create_model("vgg_gap", 3, SMALL)), []
    last = model.local_layers()["layer13"]

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    model.trunk.register_forward_pre_hook(lambda *_: kept.clear())
    last.register_forward_pre_hook(lambda *_: kept.append("the last layer"))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        posthoc.grad_cam(model, images)
    assert kept[0] == "the last layer"
    assert len(kept) > 1


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
    for name in ("activation", "grad_cam", "grad_cam_plus_plus", "guided_backprop", "integrated_gradients"):
        maps = METHODS[name].maps(model, images)
        assert {layer: values.shape for layer, values in maps.items()} in (grids, {"pixels": (2, 64, 70)})
        assert all(values.isfinite().all() for values in maps.values())
    before.check(model)


@extra
def test_costly_methods_leave_a_model_as_it_was(model: Classifier, images: Tensor) -> None:
    settled(model).train()
    before = State(model)
    for name, method in METHODS.items():
        if method.costly:
            settings = {"rise": {"masks": 8}, "smooth_grad": {"samples": 2}}.get(name, {})
            maps = method.maps(model, images, None, **settings)
            assert all((values >= 0).all() and not values.requires_grad for values in maps.values())
    before.check(model)


def test_a_missing_extra_is_named(model: Classifier, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"needs the package captum: pip install 'payattention\[posthoc\]'"):
        posthoc.integrated_gradients(model, images)


def test_a_baseline_is_for_what_takes_pixels_away(toy: Toy, pictures: Tensor) -> None:
    """One that is named is the one that is taken; the default is what the registry says."""
    score_cam = METHODS["score_cam"]
    named = {name: score_cam.on(name).maps(toy, pictures, None)["local"] for name in BASELINES}
    assert torch.equal(named[score_cam.baseline], score_cam.maps(toy, pictures, None)["local"])
    assert len({values.sum().item() for values in named.values()}) == 3
    with pytest.raises(UsageError, match="unknown baseline 'blakc'; did you mean 'black'"):
        score_cam.on("blakc")
    with pytest.raises(UsageError, match=r"Grad-CAM takes no pixels away, so it has no baseline; .*score_cam"):
        METHODS["grad_cam"].on("black")


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
