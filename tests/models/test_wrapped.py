"""Any classifier, wrapped: forty networks of timm, torchvision and transformers, and maps that equal grad-cam's."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
import timm
import torch
import torchvision
import transformers
from pytorch_grad_cam import GradCAM
from torch import Tensor, nn

import payattention as pa
from payattention.data import ImageSet
from payattention.errors import UsageError
from payattention.evaluation.attack import attack
from payattention.evaluation.attacks import FGSM
from payattention.evaluation.classify import classify
from payattention.models.evaluating import evaluating
from payattention.models.wrapped import Wrapped, wrap
from payattention.posthoc import METHODS, ablation_cam, grad_cam
from payattention.posthoc.hooks import local_features

# name: grid, of pictures of 64 pixels or, where a number stands with it, of that many
TIMM: dict[str, tuple[int, int]] = {
    "resnet10t": (2, 64),
    "skresnet18": (2, 64),
    "convnext_atto": (2, 64),
    "tf_efficientnet_lite0": (2, 64),
    "mobilenetv3_small_050": (2, 64),
    "regnetx_002": (2, 64),
    "densenet121": (2, 64),
    "nf_regnet_b0": (2, 64),
    "ghostnet_050": (2, 64),
    "hrnet_w18_small": (2, 64),
    "dla34": (2, 64),
    "pvt_v2_b0": (2, 64),
    "mobilevit_xxs": (2, 64),
    "mambaout_femto": (2, 64),
    "repvit_m0_9": (2, 64),
    "poolformer_s12": (2, 64),
    "focalnet_tiny_srf": (2, 64),
    "edgenext_xx_small": (2, 64),
    "fastvit_t8": (2, 64),
    "tresnet_m": (2, 64),
    "davit_tiny": (2, 64),
    "vit_tiny_patch16_224": (4, 64),
    "deit_tiny_patch16_224": (4, 64),
    "vit_small_patch14_reg4_dinov2": (4, 56),
    "nest_tiny": (14, 224),
    "cait_xxs24_224": (14, 224),
    "mixer_s32_224": (7, 224),
    "coatnet_nano_rw_224": (7, 224),
}
POSITIONS = {"vit_tiny_patch16_224", "deit_tiny_patch16_224", "vit_small_patch14_reg4_dinov2"}
TORCHVISION = {
    "resnet18": (2, 64),
    "densenet121": (2, 64),
    "vit_b_32": (7, 224),
    "swin_t": (2, 64),
    "convnext_tiny": (2, 64),
    "mobilenet_v3_small": (2, 64),
    "mnasnet0_5": (2, 64),
    "shufflenet_v2_x0_5": (2, 64),
    "squeezenet1_1": (3, 64),
    "regnet_y_400mf": (2, 64),
    "efficientnet_b0": (2, 64),
}


def of_timm(name: str) -> nn.Module:
    options = {"img_size": TIMM[name][1]} if name in POSITIONS else {}
    return timm.create_model(name, num_classes=1000, **options)


def of_torchvision(name: str) -> nn.Module:
    return getattr(torchvision.models, name)(weights=None)


def vit() -> nn.Module:
    own = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=64, patch_size=8
    )
    own.id2label = {0: "cat", 1: "dog", 2: "owl"}
    return transformers.ViTForImageClassification(own)


def convnext() -> nn.Module:
    own = transformers.ConvNextConfig(hidden_sizes=[8, 16, 32, 64], depths=[1, 1, 2, 1], image_size=64)
    own.id2label = {0: "cat", 1: "dog", 2: "owl"}
    return transformers.ConvNextForImageClassification(own)


def swin() -> nn.Module:
    own = transformers.SwinConfig(
        image_size=64, embed_dim=16, depths=[1, 1, 2], num_heads=[2, 2, 4], window_size=4, patch_size=4
    )
    own.id2label = {0: "cat", 1: "dog", 2: "owl"}
    return transformers.SwinForImageClassification(own)


def sequential() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 256, 4)
    )


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int], str]] = {
    **{f"timm:{name}": (partial(of_timm, name), grid, "tabby") for name, grid in TIMM.items()},
    **{f"torchvision:{name}": (partial(of_torchvision, name), grid, "tabby") for name, grid in TORCHVISION.items()},
    "transformers:vit": (vit, (8, 64), "owl"),
    "transformers:convnext": (convnext, (2, 64), "owl"),
    "transformers:swin": (swin, (4, 64), "owl"),
    "sequential": (sequential, (16, 32), ""),
}
STATISTICS = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.filterwarnings("ignore:.*weight initialization.*:FutureWarning")
def test_any_classifier(name: str) -> None:
    """Its logits are the network's own, its classes have names, and its grid lies over the picture as it should."""
    make, (side, size), known = NETWORKS[name]
    network = make()
    network.train()
    model = wrap(network, image_size=size, **(STATISTICS if name.startswith("transformers") else {}))
    assert network.training
    assert all(module.training for module in network.modules())
    images = torch.rand(2, 3, size, size)
    with evaluating(model), torch.no_grad():
        logits = model(images)
        own = network(model.preprocessing(images))
    assert torch.equal(logits, own if isinstance(own, Tensor) else own.logits)
    assert len(model.classes) == (logits.shape[1] if known else 0)
    assert known in model.classes or not known
    maps = grad_cam(model, images)
    assert [tuple(values.shape) for values in maps.values()] == [(2, side, side)]
    assert all(values.isfinite().all() and (values >= 0).all() for values in maps.values())
    if side > 2:
        assert_lies_over_the_picture(model, images)
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_the_search_for_the_layer_keeps_little() -> None:
    """What is kept for gradients begins at the last few layers; that of all would be 4.6 million values."""
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    network = of_timm("test_resnet")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        wrap(network, image_size=224)
    assert 0 < sum(kept) < 3e5


class Pair(NamedTuple):
    features: Tensor
    other: Tensor


def test_a_layer_that_gives_several_tensors_by_name() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> Pair:
            return Pair(x * 2, x.mean((2, 3)))

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.two, self.linear = Two(), nn.Linear(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            pair = self.two(x)
            return self.linear(pair.features.square().mean((2, 3)) + pair.other)

    model = wrap(Network(), image_size=8)
    assert list(model.local_layers()) == ["two"]
    assert grad_cam(model, torch.rand(1, 3, 8, 8))["two"].shape == (1, 8, 8)


def assert_lies_over_the_picture(model: Wrapped, images: Tensor) -> None:
    """What changes in the upper right quarter of a picture changes the grid there the most."""
    quarter = images.shape[-1] // 2
    changed = images.clone()
    changed[:, :, :quarter, quarter:] = torch.rand(len(images), 3, quarter, images.shape[-1] - quarter)
    with local_features(model) as features, torch.no_grad():
        model(images)
        (before,) = (values.clone() for values in features.values())
        model(changed)
        (after,) = features.values()
    change = (after - before).square().sum((0, 1))  # (h, w)
    side = len(change)
    upper, right = slice(0, side // 2), slice(side - side // 2, side)
    quarters = [change[rows, columns].sum() for rows in (upper, right) for columns in (upper, right)]
    assert max(quarters) == quarters[1]


def tokens_of(side: int) -> Callable[[Tensor], Tensor]:
    return lambda output: output[:, 1:].reshape(len(output), side, side, -1).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("name", "layer", "reshape"),
    [
        ("resnet50", "layer4", None),
        ("vit_tiny_patch16_224", "blocks.11.norm1", tokens_of(14)),
        ("swin_tiny_patch4_window7_224", "norm", lambda output: output.permute(0, 3, 1, 2)),
    ],
)
def test_grad_cam_equals_that_of_the_package(name: str, layer: str, reshape: Callable[[Tensor], Tensor] | None) -> None:
    """grad-cam by its own code, on its own grid, at random weights; both scaled as it scales its own."""
    torch.manual_seed(0)
    network = timm.create_model(name).eval()
    size = 224 if reshape else 128
    model = wrap(network, image_size=size)
    images, labels = torch.rand(2, 3, size, size), torch.tensor([3, 7])
    (ours,) = grad_cam(model, images, labels).values()
    assert list(model.local_layers()) == [layer]

    class OnGrid(GradCAM):  # type: ignore[misc]
        """Without the enlargement to the picture's size."""

        def get_target_width_height(self, input_tensor: Tensor) -> None:
            return None

    theirs = OnGrid(network, [network.get_submodule(layer)], reshape)
    found = theirs(model.preprocessing(images), [lambda out: out[3], lambda out: out[7]])
    for _ in range(2):  # they do so by layer and of all layers
        ours = ours - ours.amin((1, 2), keepdim=True)
        ours = ours / (1e-7 + ours.amax((1, 2), keepdim=True))
    np.testing.assert_allclose(ours.numpy(), found, atol=1e-5)


class TestExplain:
    def test_by_grad_cam_without_asking(self) -> None:
        model = wrap(sequential(), classes=("a", "b", "c", "d"), image_size=32)
        picture = np.random.default_rng(0).integers(0, 255, (40, 90, 3), np.uint8)
        result = pa.explain(model, picture, target="c")
        assert (result.method, result.target, result.combined.shape) == ("grad_cam", "c", (40, 90))
        assert list(result.maps) == ["2"]
        assert pa.explain(model, picture, method="activation").maps["2"].shape == (16, 16)

    def test_one_that_takes_any_size_sees_the_whole_picture(self) -> None:
        model = wrap(timm.create_model("resnet10t"), image_size=64)
        assert model.sizes == (32, None)
        assert pa.explain(model, np.zeros((64, 128, 3), np.uint8)).maps["layer4"].shape == (2, 4)


class TestMeasured:
    """What needs no trained attention takes a wrapped classifier as one of ours."""

    @pytest.fixture
    def model(self) -> Wrapped:
        return wrap(sequential(), classes=("a", "b", "c", "d"), image_size=32)

    @pytest.fixture
    def data(self) -> ImageSet:
        random = np.random.default_rng(0)
        images = random.integers(0, 255, (12, 32, 32, 3), np.uint8)
        return ImageSet("some", "test", images, np.arange(12) % 4, ("a", "b", "c", "d"))

    def test_classify_and_attack(self, model: Wrapped, data: ImageSet) -> None:
        assert classify(model, data).count == 12
        assert attack(model, data, {"fgsm": FGSM()}, (8.0,)).count == 12

    def test_features_are_what_the_last_linear_layer_sees(self, model: Wrapped, data: ImageSet) -> None:
        images = torch.from_numpy(data.images).permute(0, 3, 1, 2).float() / 255
        features = model.features(images)
        assert torch.equal(model.network[-1](features), model(images))

    def test_features_before_a_classifier_that_is_a_convolution(self) -> None:
        network = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        model, images = wrap(network, image_size=32), torch.rand(2, 3, 32, 32)
        last, features = network[2], model.features(images)  # the mean and a convolution of one pixel can be swapped
        assert isinstance(last, nn.Conv2d)
        torch.testing.assert_close(features @ last.weight.flatten(1).T + last.bias, model(images))

    def test_a_grey_network_of_timm_is_normalised_as_timm_adapts_its_first_layer(self) -> None:
        model = wrap(timm.create_model("resnet10t", in_chans=1), image_size=64)
        assert model.in_channels == 1
        assert model.preprocessing.mean.flatten().tolist() == pytest.approx([(0.485 + 0.456 + 0.406) / 3])

    def test_grey(self) -> None:
        network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        model = wrap(network, mean=(0.5,), std=(0.2,))
        assert (model.in_channels, model.sizes) == (1, (32, None))
        assert pa.explain(model, np.zeros((40, 60), np.uint8)).maps["0"].shape == (224, 336)


class ChannelsLast(nn.Module):
    """(n, d, h, w) -> (n, h, w, d), as Swin's blocks have their features."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


class MeanOfPlaces(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.relu().mean((1, 2))


def channels_last() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 9, 3, stride=4), ChannelsLast(), nn.Linear(9, 6), MeanOfPlaces(), nn.Linear(6, 3))


class TestEveryMethod:
    """Post-hoc methods on features in any layout."""

    @pytest.mark.parametrize("make", [vit, swin, channels_last, sequential], ids=lambda make: make.__name__)
    @pytest.mark.parametrize("name", METHODS)
    def test_that_is_possible_gives_its_maps(self, name: str, make: Callable[[], nn.Module]) -> None:
        size = 64 if make in (vit, swin) else 32
        model, method = wrap(make(), image_size=size, **STATISTICS), METHODS[name]
        if (reason := method.missing(model)) is not None:
            with pytest.raises(UsageError, match=re.escape(reason)):
                method.maps(model, torch.rand(1, 3, size, size), None)
            return
        few = {"rise": {"masks": 8}, "smooth_grad": {"samples": 2}, "integrated_gradients": {"steps": 2}}
        (maps,) = method.maps(model, torch.rand(2, 3, size, size), None, **few.get(name, {})).values()
        layer = next(iter(model.local_layers()))
        with local_features(model) as features, torch.no_grad():
            model(torch.rand(1, 3, size, size))
        assert tuple(maps.shape) in {(2, size, size), (2, *features[layer].shape[2:])}
        assert maps.isfinite().all()
        assert (maps >= 0).all()

    def test_ablation_takes_channels_away_wherever_they_stand(self) -> None:
        """Against a loop that clears the last dimension of the features by hand."""
        network = channels_last().eval()
        model = wrap(network, image_size=32)
        images = torch.rand(1, 3, 32, 32)
        (found,) = ablation_cam(model, images, torch.tensor([1])).values()
        with torch.no_grad():
            features = network[:3](images)  # (1, h, w, d)
            whole = network[3:](features)[0, 1]
            expected = torch.zeros(features.shape[1:3])
            for channel in range(features.shape[3]):
                without = features.clone()
                without[..., channel] = 0
                weight = (whole - network[3:](without)[0, 1]) / whole.abs()
                expected += weight * features[0, ..., channel]
        torch.testing.assert_close(found[0], expected.relu())


class TestMistakes:
    @pytest.mark.parametrize(
        ("network", "options", "message"),
        [
            (nn.Identity(), {}, r"Identity returns no logits \(n, C\), but Tensor of shape \(1, 3, 224, 224\)"),
            (sequential(), {}, "Sequential cannot look at a picture of 224x224 .*: give its own as image_size="),
            (sequential(), {"image_size": 32, "layer": "layer4"}, "unknown layer of Sequential 'layer4'"),
            (sequential(), {"image_size": 32, "layer": "4"}, "layer 4 of Sequential gives a grid of features that"),
            (sequential(), {"image_size": 32, "classes": ("a", "b")}, r"2 names in classes=: Sequential has 4 classes"),
            (sequential(), {"image_size": 32, "classes": ("a", "a", "b", "c")}, r"3 names in classes="),
            (sequential(), {"image_size": 32, "std": (0, 1, 1)}, "std above 0"),
            (nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), {"image_size": 8}, "no layer of Sequential gives a grid"),
            (vit(), {}, "ViTForImageClassification does not say how its pixels are normalised: give mean= and std="),
        ],
    )
    def test_one_line_that_names_the_cure(self, network: object, options: dict[str, Sequence], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            wrap(network, **options)

    def test_one_of_ours(self) -> None:
        with pytest.raises(UsageError, match="is a classifier of payattention already"):
            wrap(pa.create_model("vgg", 2, 0.0625))
