"""What is said of pictures: the classes in their order, and probabilities that a temperature cannot reorder."""

import numpy as np
import pytest
import torch

from payattention.data import ImageSet
from payattention.errors import DataError
from payattention.evaluation import classify
from payattention.models import Classifier
from payattention.models.prediction import predictions

NAMES = ("ant", "bee", "cat")


def test_the_most_probable_classes_first(model: Classifier) -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, 3.0, -1.0]])
    one, other = predictions(model, logits, ["a.jpg", "b.jpg"], NAMES, ["bee", "bee"], top=2)
    assert (one.label, list(one.top), one.true, one.wrong) == ("bee", ["bee", "cat"], "bee", False)
    assert (other.label, list(other.top), other.wrong) == ("ant", ["ant", "bee"], True)  # the first of equals
    powers = np.exp([2.0, 1.0])
    assert list(one.top.values()) == pytest.approx(powers / (powers.sum() + 1))
    assert one.probability == one.top["bee"]
    assert not predictions(model, logits, ["a", "b"], NAMES)[0].wrong  # of no known class


@pytest.mark.parametrize("temperature", [0.01, 0.5, 3.0, 1000.0])
def test_a_temperature_changes_probabilities_and_no_class(model: Classifier, temperature: float) -> None:
    logits = torch.randn(200, 3) * 5
    before = predictions(model, logits, [""] * 200, NAMES)
    model.temperature = temperature
    after = predictions(model, logits, [""] * 200, NAMES)
    assert [list(p.top) for p in after] == [list(p.top) for p in before]
    expected = (logits.double() / temperature).softmax(1).amax(1)
    assert [p.probability for p in after] == pytest.approx(expected.tolist(), rel=1e-4)


def test_logits_that_are_no_numbers_are_refused(model: Classifier) -> None:
    with pytest.raises(DataError, match="the logits of this vgg_att2_concat_pc are not finite"):
        predictions(model, torch.tensor([[0.0, float("nan"), 1.0]]), ["a"], NAMES)


def test_a_measured_set_tells_what_was_said_of_each_image(model: Classifier, image_set: ImageSet) -> None:
    """Also of a set without the model's first class, in another order: by name."""
    model.classes = ("other", "bright", "dark")
    result = classify(model, image_set)
    with torch.no_grad():
        logits = model(torch.from_numpy(image_set.images).permute(0, 3, 1, 2).float() / 255)
    said = result.predictions
    assert [p.label for p in said] == [model.classes[k] for k in logits.argmax(1)]
    assert [p.true for p in said] == [image_set.classes[k] for k in image_set.labels]
    assert [p.picture for p in said] == [f"noise, image {k}" for k in range(32)]
    assert result.error == pytest.approx(100 * np.mean([p.wrong for p in said]), abs=1e-3)
