"""Maps as means over several looks, against the looks themselves."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import payattention as pa
from payattention.attention.maps import upsampled
from payattention.errors import UsageError
from payattention.explaining.inputs import as_input
from payattention.models import Classifier
from payattention.pictures.reading import read_picture
from payattention.posthoc import METHODS
from settling import settled


@pytest.fixture(scope="module")
def network() -> Classifier:
    return settled(pa.create_model("vgg_att2_concat_dp", 3, 0.0625))


def test_a_mirrored_look_is_mirrored_back(network: Classifier) -> None:
    """So what is seen of a mirrored picture is the mirrored map, whatever the network has learnt."""
    images, twin = torch.rand(2, 3, 32, 40), network.averaging("mirror")
    with torch.no_grad():
        maps, there, back = twin.attend(images).maps, network.attend(images), network.attend(images.flip(3))
        mirrored = twin.attend(images.flip(3)).maps
    for level, map_ in maps.items():
        torch.testing.assert_close(map_, (there.maps[level] + back.maps[level].flip(2)) / 2)
        torch.testing.assert_close(mirrored[level], map_.flip(2))
        assert not torch.allclose(there.maps[level], back.maps[level].flip(2))


@pytest.mark.parametrize("normaliser", ["softmax", "sigmoid"])
def test_larger_looks_weigh_as_much_on_the_finer_grid(normaliser: str) -> None:
    model = settled(pa.create_model("vgg_att2_concat_dp", 3, 0.0625, normaliser=normaliser))
    images = torch.rand(2, 3, 32, 32)
    large = F.interpolate(images, (40, 40), mode="bicubic", align_corners=False).clamp(0, 1)
    with torch.no_grad():
        maps = model.averaging("mirror,scales").attend(images).maps
        looks = [model.attend(view).maps for view in (images, images.flip(3), large, large.flip(3))]
    for level, map_ in maps.items():
        views = [look[level].flip(2) if number % 2 else look[level] for number, look in enumerate(looks)]
        mass = views[0].mean((1, 2), keepdim=True)
        fine = [upsampled(view, views[2].shape[1:]) for view in views]
        torch.testing.assert_close(map_, sum(view / view.mean((1, 2), keepdim=True) for view in fine) * mass / 4)
        torch.testing.assert_close(map_.mean((1, 2)), mass[:, 0, 0])
    assert maps["layer10"].shape == (2, 20, 20)


def test_only_the_maps_are_means(network: Classifier) -> None:
    """The prediction, post-hoc maps and the model itself are as before; the weights are the same in memory."""
    images, twin = torch.rand(2, 3, 32, 32), network.averaging("mirror,scales")
    with torch.no_grad():
        own, averaged = network.attend(images), twin.attend(images)
        torch.testing.assert_close(twin(images), own.logits, rtol=0, atol=0)
    torch.testing.assert_close(averaged.logits, own.logits, rtol=0, atol=0)
    for of_twin, of_model in zip(
        *(METHODS["grad_cam"].maps(m, images, None).values() for m in (twin, network)), strict=True
    ):
        torch.testing.assert_close(of_twin, of_model)
    assert network.views == ()
    assert all(a is b for a, b in zip(twin.parameters(), network.parameters(), strict=True))


def test_an_explanation_of_several_looks(network: Classifier, picture: Path) -> None:
    network.train()
    result, plain = pa.explain(network, picture, average="mirror"), pa.explain(network, picture)
    assert network.training
    network.eval()
    images = as_input(network, read_picture(picture))
    with torch.no_grad():
        expected = network.averaging("mirror").attend(images).maps
    for level, values in result.maps.items():
        torch.testing.assert_close(torch.from_numpy(values), expected[level][0], rtol=1e-3, atol=1e-5)
    assert (result.probabilities == plain.probabilities).all()


def test_views_that_cannot_be(network: Classifier) -> None:
    with pytest.raises(UsageError, match="unknown view to average over 'miror'; did you mean 'mirror'"):
        network.averaging("miror")
    with pytest.raises(UsageError, match="vgg has no attention maps"):
        pa.create_model("vgg", 3, 0.0625).averaging("mirror")
    with pytest.raises(UsageError, match="vgg_att_pc takes pictures of 32 pixels only; take mirror"):
        pa.create_model("vgg_att_pc", 3, 0.0625, preprocessing="gcn_zca").averaging("mirror,scales")
    square = Image.new("RGB", (32, 32))
    with pytest.raises(UsageError, match="leave it out, or the method 'grad_cam'"):
        pa.explain(network, square, method="grad_cam", average="mirror")
