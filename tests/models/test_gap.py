"""Global average pooling and its class activation map."""

import pytest
import torch

import payattention as pa
from payattention.errors import UsageError
from settling import settled

SMALL = 0.0625


@pytest.fixture
def gap() -> pa.Classifier:
    return settled(pa.create_model("vgg_gap", 3, SMALL))


@pytest.mark.parametrize("name", ["vgg_gap", "fast_gap"])
def test_a_class_map_is_the_class_logit_spread_out(name: str) -> None:
    """Exactly: mean over positions plus bias is the logit, for every class."""
    gap = settled(pa.create_model(name, 3, SMALL))
    images = torch.rand(3, 3, 32, 40)
    logits = gap(images)
    for label in range(3):
        map_ = gap.class_map(images, torch.full((3,), label))
        assert map_.shape == ((3, 8, 10) if name == "vgg_gap" else (3, 4, 5))
        torch.testing.assert_close(map_.mean((1, 2)) + gap.classifier.bias[label], logits[:, label])


def test_by_default_it_is_the_predicted_class(gap: pa.Classifier) -> None:
    images = torch.rand(4, 3, 32, 32)
    predicted = gap(images).argmax(1)
    look = gap.attend(images)
    torch.testing.assert_close(gap.class_map(images), gap.class_map(images, predicted))
    torch.testing.assert_close(look.scores["layer13"], gap.class_map(images))
    torch.testing.assert_close(look.maps["layer13"], gap.class_map(images).clamp_min(0))
    assert not torch.equal(gap.class_map(images), gap.class_map(images, (predicted + 1) % 3))


def test_it_explains_a_picture(gap: pa.Classifier, picture: object) -> None:
    explanation = pa.explain(gap, picture)
    assert list(explanation.maps) == ["layer13"]
    assert explanation.combined.shape == (40, 50)


def test_its_weights_are_those_of_the_attention_trunk(gap: pa.Classifier) -> None:
    """So it can start from an attention network, or give it a start, by name."""
    trunk = {name for name in gap.state_dict() if name.startswith("trunk.")}
    assert trunk <= set(pa.create_model("vgg_att2_concat_pc", 3, SMALL).state_dict())
    assert max(int(name.split(".")[2].removeprefix("conv")) for name in trunk) == 13


def test_labels_that_do_not_fit_are_told(gap: pa.Classifier) -> None:
    images = torch.rand(2, 3, 32, 32)
    with pytest.raises(UsageError, match=r"labels lie in 0 ... 2; got 1 ... 3"):
        gap.class_map(images, torch.tensor([1, 3]))
    with pytest.raises(UsageError, match=r"one class for each of 2 images; got \(3,\)"):
        gap.class_map(images, torch.tensor([0, 1, 2]))
    with pytest.raises(UsageError, match="vgg_gap has no query"):
        gap.attend(images, query=images)
