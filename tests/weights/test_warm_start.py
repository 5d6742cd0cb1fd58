"""Beginning with another model's weights: what fits is taken, what does not is named."""

from pathlib import Path

import numpy as np
import pytest
import torch

import payattention as pa
from payattention.data import ImageSet
from payattention.errors import CheckpointError
from payattention.models import Classifier
from payattention.runs.config import RunConfig
from payattention.runs.experiment import train_and_test
from payattention.training.recipe import Recipe
from settling import settled

SMALL = 0.0625


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A trained att2 network of three classes."""
    model = settled(pa.create_model("vgg_att2_concat_pc", 3, SMALL))
    model.classes = ("cat", "dog", "emu")
    return pa.save(model, tmp_path / "source")


def fresh(
    name: str = "vgg_att2_concat_pc", classes: tuple[str, ...] = ("ant", "bee", "cow"), **options: object
) -> Classifier:
    model = pa.create_model(name, len(classes), SMALL, **options)
    model.classes = classes
    return model


@pytest.mark.parametrize("classes", [("ant", "bee", "cow"), ("dog", "cat", "emu"), ("ant", "bee")])
def test_all_but_the_classifier_goes_to_other_classes(source: Path, classes: tuple[str, ...]) -> None:
    """Three other classes fit by shape, too, but a classifier knows which is which."""
    model, other = fresh(classes=classes), pa.load(source)
    head = model.head.classifier.weight.detach().clone()
    start = pa.warm_start(model, source)
    assert start.other_classes == start.fresh == ("head.classifier.weight", "head.classifier.bias")
    assert (start.other_shape, start.unused) == ((), ())
    assert torch.equal(model.head.classifier.weight, head)
    for name, value in other.state_dict().items():
        if not name.startswith("head.classifier"):
            assert torch.equal(model.state_dict()[name], value), name
    assert start.parameters[0] < start.parameters[1]
    assert "of other classes, left out: head.classifier.weight, head.classifier.bias" in str(start)


def test_the_same_classes_take_everything(source: Path) -> None:
    model = fresh(classes=("cat", "dog", "emu")).eval()
    start = pa.warm_start(model, source.parent)
    assert start.parameters[0] == start.parameters[1]
    assert (start.fresh, str(start).count("\n")) == ((), 0)
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(model(images), pa.load(source)(images))


def test_another_network_of_the_family_takes_what_it_shares(source: Path) -> None:
    model, other = fresh("vgg_att3_concat_dp", layout="cub"), pa.load(source)
    start = pa.warm_start(model, source)
    assert all("compatibility" in name for name in start.unused)
    assert "head.classifier.weight" in start.other_classes
    assert torch.equal(model.trunk.layers["conv13"].conv.weight, other.trunk.layers["conv13"].conv.weight)
    names = set(model.state_dict())
    taken = names - set(start.fresh)
    assert set(start.other_shape) <= set(start.fresh)
    assert sum(model.state_dict()[name].numel() for name in taken) == start.parameters[0]
    assert any(name.startswith("attention.projection") for name in start.fresh)


@pytest.mark.parametrize("name", ["vgg_att_pc", "vgg_att3_concat_pc", "vgg_pan"])
def test_a_head_of_other_levels_is_not_taken_by_its_numbers(source: Path, name: str) -> None:
    """The first descriptor is of layer 10 there, and of layer 13 or 7 here."""
    model = fresh(name, ("cat", "dog", "emu"))
    start = pa.warm_start(model, source)
    own = [key for key in pa.load(source).state_dict() if key.startswith("head.") and key in model.state_dict()]
    assert sorted(start.other_levels + start.other_classes) == sorted(own)
    assert set(own) <= set(start.fresh)
    assert "of other levels, left out: head.normalise.0.0.weight" in str(start)
    assert all(
        not value.any() for key, value in model.state_dict().items() if "head.normalise" in key and "mean" in key
    )


def test_another_width_shares_nothing(source: Path) -> None:
    model = pa.create_model("vgg_att2_concat_pc", 3, 2 * SMALL)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"no weight .* \(width 0.0625\) fits .* \(width 0.125\)"):
        pa.warm_start(model, source)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_run_begins_there_and_says_so(source: Path, image_set: ImageSet, tmp_path: Path) -> None:
    still = Recipe("test", 1, 8, lr=1e-12, weight_decay=0.0, dropout=0.0)
    model, result = train_and_test(
        RunConfig("vgg_att2_concat_pc", still, width=SMALL, init_from=source), image_set, image_set, tmp_path / "run"
    )
    begun = result["init_from"]
    assert begun["source"] == str(source)
    assert list(begun["other_classes"]) == ["head.classifier.weight", "head.classifier.bias"]
    for name, value in pa.load(source).named_parameters():
        if not name.startswith("head.classifier"):
            np.testing.assert_allclose(model.get_parameter(name).detach(), value.detach(), atol=1e-6, err_msg=name)
