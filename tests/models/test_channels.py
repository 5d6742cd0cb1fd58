"""Images of one to many channels, for every network: the first layer alone differs."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import payattention as pa
from payattention.data import ImageSet
from payattention.errors import UsageError
from payattention.models.patch_whitening import PatchWhitening
from payattention.models.preprocessing import GivenMeanStd, YuvLcn, create_preprocessing
from payattention.training.fit import new_model
from payattention.training.recipe import load_recipe
from settling import settled

SMALL = 0.0625
EVERY = pa.list_models()
FIRST = {"vgg": 64 * 9, "saoyan": 64 * 9, "resnet164": 16 * 9, "fast": 24 * 4}
"""Weights of the first convolution for each channel at full width: filters times their positions."""


@pytest.mark.parametrize("name", EVERY)
def test_the_first_layer_has_as_many_more_weights(name: str) -> None:
    with torch.device("meta"):
        counts = {k: sum(p.numel() for p in pa.create_model(name, 10, in_channels=k).parameters()) for k in (1, 3, 4)}
    each = next(weights for family, weights in FIRST.items() if name.startswith(family))
    assert (counts[1] - counts[3], counts[4] - counts[3]) == (-2 * each, each)


def test_whitened_patches_have_four_directions_a_channel() -> None:
    """Stem 8k filters of 4k weights with biases, then 64 filters of 9 positions on 8k channels."""
    with torch.device("meta"):
        counts = [
            sum(p.numel() for p in pa.create_model("fast", 10, whiten=True, in_channels=k).parameters()) for k in (1, 3)
        ]
    grey, rgb = (8 * k * 4 * k + 8 * k + 64 * 9 * 8 * k for k in (1, 3))
    assert counts[0] - counts[1] == grey - rgb


def test_whitened_grey_patches_are_white() -> None:
    layer, images = PatchWhitening(1), torch.rand(50, 1, 16, 16)
    images = (images + images.roll(1, 3)) / 2 - 0.5  # neighbours are alike
    layer.fit(images)
    torch.nn.init.zeros_(layer.bias)
    with torch.no_grad():
        seen = layer(images)[:, :4].transpose(0, 1).flatten(1)
    torch.testing.assert_close(seen @ seen.T / seen.shape[1], torch.eye(4), atol=0.05, rtol=0)


@pytest.mark.parametrize(("name", "channels"), [*((name, 1) for name in EVERY), ("vgg_att_pc", 4), ("fast_gap", 2)])
def test_every_network_looks_saves_and_loads(name: str, channels: int, tmp_path: Path) -> None:
    model = pa.create_model(name, 3, SMALL, in_channels=channels).eval()
    images = torch.rand(2, channels, 32, 40)
    loaded = pa.load(pa.save(model, tmp_path))
    assert loaded.in_channels == model.in_channels == model.preprocessing.mean.shape[0] == channels
    with torch.no_grad():
        torch.testing.assert_close(loaded.attend(images).logits, model(images), rtol=0, atol=0)
    with pytest.raises(UsageError, match=rf"images are \(n, {channels}, height, width\); got \(2, 3, 32, 32\)"):
        model(torch.rand(2, 3, 32, 32))


def test_grey_is_rgb_whose_first_weights_are_added_up() -> None:
    """The oracle: three equal channels, each normalised alike, through the network for RGB."""
    rgb = settled(pa.create_model("vgg_att2_concat_dp", 3, SMALL))
    grey = pa.create_model("vgg_att2_concat_dp", 3, SMALL, in_channels=1).eval()
    state = rgb.state_dict()
    first = "trunk.layers.conv1.conv.weight"
    own = {"preprocessing.mean": torch.tensor(0.5).view(1, 1, 1), "preprocessing.std": torch.tensor(0.25).view(1, 1, 1)}
    grey.load_state_dict({**state, first: state[first].sum(1, keepdim=True), **own})
    images = torch.rand(2, 1, 32, 32)
    look, expected = grey.attend(images), rgb.attend(images.expand(-1, 3, -1, -1))
    torch.testing.assert_close(look.logits, expected.logits)
    torch.testing.assert_close(look.maps["layer10"], expected.maps["layer10"])


@pytest.mark.parametrize("value", [0, -1, 1025, 1.5, "1", True])
def test_channels_that_no_picture_has(value: object) -> None:
    for build in (pa.create_model, pa.attach):
        with pytest.raises(UsageError, match="in_channels is"):
            build("vgg_att_pc" if build is pa.create_model else "test_vit", 3, in_channels=value)


def test_preprocessings_of_other_channels() -> None:
    images = torch.rand(2, 1, 32, 32)
    assert create_preprocessing("gcn_zca", 1)(images).shape == images.shape
    fitted = create_preprocessing("mean_std", 5)
    fitted.fit((torch.rand(4, 5, 8, 8) * 255).to(torch.uint8))
    assert fitted.mean.shape == (5, 1, 1)
    with pytest.raises(UsageError, match="yuv_lcn is for the three channels of RGB, and these images have 1"):
        YuvLcn.of(1)


def test_images_of_other_channels_than_the_network(image_set: ImageSet) -> None:
    grey = ImageSet("g", "train", image_set.images[..., :1], image_set.labels, image_set.classes)
    with pytest.raises(UsageError, match=r"images of g have 1 channels, and this vgg takes 3: give .* in_channels=1"):
        new_model("vgg", grey, load_recipe("modern"), width=SMALL)


@pytest.mark.parametrize(
    ("name", "channels"),
    [("test_resnet", 1), ("test_resnet", 2), ("test_resnet", 4), ("test_vit", 1), ("test_efficientnet", 1)],
)
def test_attach_by_name_and_by_object(name: str, channels: int, tmp_path: Path) -> None:
    """timm's own `in_chans`: what it builds is found again, saved and loaded."""
    model = pa.attach(name, 3, in_channels=channels).eval()
    given = pa.attach(timm.create_model(name, in_chans=channels), 3).eval()
    images = torch.rand(1, channels, 160, 160)
    for network in (model, given):
        assert network.in_channels == network.config.options["in_channels"] == channels
        loaded = pa.load(pa.save(network, tmp_path))
        with torch.no_grad():
            torch.testing.assert_close(loaded(images), network(images))


def test_a_backbone_whose_first_convolution_sees_patches() -> None:
    """TResNet's has 16 channels for each of the picture's."""
    assert pa.attach(timm.create_model("tresnet_m", in_chans=1), 3).in_channels == 1


def test_statistics_of_a_backbone_follow_its_first_layer() -> None:
    """Grey weights are the colours' sum, so grey statistics are their mean: ImageNet's known .449 and .226."""
    grey, four = (pa.attach("test_resnet", 3, in_channels=channels).preprocessing for channels in (1, 4))
    assert isinstance(grey, GivenMeanStd)
    assert isinstance(four, GivenMeanStd)
    cfg = timm.get_pretrained_cfg("test_resnet")
    assert grey.mean.item() == pytest.approx(sum(cfg.mean) / 3)
    assert grey.std.item() == pytest.approx(sum(cfg.std) / 3)
    assert four.mean.flatten().tolist() == pytest.approx([*cfg.mean, cfg.mean[0]])


def test_explanations_of_grey_and_four_bands(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 4), dtype=np.uint8)
    grey, four = (settled_of(channels) for channels in (1, 4))
    luma = Image.fromarray(pixels[..., :3]).convert("L")
    luma.save(tmp_path / "grey.png")
    Image.fromarray(pixels[..., :3]).save(tmp_path / "rgb.png")
    by_form = [pa.explain(grey, form) for form in (tmp_path / "grey.png", tmp_path / "rgb.png", np.asarray(luma))]
    assert len({explanation.probability for explanation in by_form}) == 1
    assert by_form[0].picture.mode == "RGB"

    Image.fromarray(pixels).save(tmp_path / "four.png")
    bands = torch.from_numpy(pixels).permute(2, 0, 1)
    forms = (tmp_path / "four.png", pixels, bands)
    assert len({pa.explain(four, form).probability for form in forms}) == 1
    seen = four(bands[None, :, :, :40] / 255).softmax(1).max().item()
    assert pa.explain(four, pixels[:, :40], size=40).probability == pytest.approx(seen, abs=1e-5)
    with pytest.raises(pa.PayAttentionError, match=r"rgb.png: it has 3 channels, and 4 are asked for: give an RGBA"):
        pa.explain(four, tmp_path / "rgb.png")


def test_two_channels_are_for_tensors() -> None:
    with pytest.raises(UsageError, match=r"pictures are read with 1 channel .*, not 2: give the model tensors"):
        pa.explain(settled_of(2), np.zeros((40, 40), np.uint8))


def settled_of(channels: int) -> pa.Classifier:
    return pa.create_model("vgg_att2_concat_pc", 3, SMALL, in_channels=channels).eval()
