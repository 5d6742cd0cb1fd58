"""Probabilities that are what they say: the calibration error and the temperature, against other implementations."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from torchmetrics.functional.classification import multiclass_calibration_error

from payattention.data import ImageSet
from payattention.errors import DataError
from payattention.evaluation.calibration import BINS, best_temperature, calibrate, reliability
from payattention.models import Classifier


def said(seed: int, count: int = 400, classes: int = 4, sharpness: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and labels drawn from what they mean at a temperature of one over the sharpness."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, classes, generator=generator, dtype=torch.float64) * 2
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return logits * sharpness, labels


@pytest.mark.parametrize(("seed", "classes", "sharpness"), [(0, 2, 1.0), (1, 4, 3.0), (2, 10, 0.3)])
def test_the_calibration_error_is_that_of_torchmetrics(seed: int, classes: int, sharpness: float) -> None:
    logits, labels = said(seed, 300, classes, sharpness)
    probabilities = logits.softmax(1)
    surest, label = probabilities.max(1)
    found = reliability(surest.numpy(), (label == labels).numpy())
    assert found.ece == pytest.approx(
        100 * float(multiclass_calibration_error(probabilities, labels, classes, n_bins=BINS, norm="l1")), abs=2e-3
    )
    assert sum(bin.count for bin in found.bins) == 300


def test_bins_are_open_below_and_closed_above() -> None:
    """A network that is sure to the last bit of float32 shares a bin with one that is nearly so."""
    found = reliability(np.array([1.0, 0.95, 1 / 3]), np.array([True, False, False]))
    top = found.bins[-1]
    assert (top.count, top.confidence, top.accuracy, top.high) == (2, 97.5, 50.0, 100.0)
    assert found.bins[4].count == 1  # 4/15 < 1/3 <= 5/15
    assert found.bins[0].confidence is None
    assert found.ece == pytest.approx(100 * (abs(1.95 - 1) + 1 / 3) / 3, abs=1e-3)


@pytest.mark.parametrize("sharpness", [0.2, 1.0, 4.0])
def test_the_temperature_is_the_best_of_a_fine_grid(sharpness: float) -> None:
    logits, labels = said(0, 600, sharpness=sharpness)
    grid = np.geomspace(0.05, 20, 1500)
    losses = [float(cross_entropy(logits / t, labels)) for t in grid]
    found = best_temperature(logits, labels)
    assert found == pytest.approx(grid[int(np.argmin(losses))], rel=4e-3)
    assert found == pytest.approx(sharpness, rel=0.2)  # what the labels were drawn from


def test_pictures_that_no_temperature_is_best_for_are_refused() -> None:
    logits, labels = said(0)
    with pytest.raises(DataError, match="all 400 pictures to calibrate on are told right"):
        best_temperature(logits, logits.argmax(1))
    with pytest.raises(DataError, match="no more than any others"):
        best_temperature(-logits, labels)
    with pytest.raises(DataError, match="no more than any others"):  # a model whose outputs are constant
        best_temperature(torch.ones(5, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 0]))


def test_a_model_is_calibrated_on_a_set_and_stays_as_it_is(model: Classifier, image_set: ImageSet) -> None:
    model.classes = ("dark", "bright", "other")
    with torch.no_grad():
        logits = model(torch.from_numpy(image_set.images).permute(0, 3, 1, 2).float() / 255).double()
    labels = torch.from_numpy(image_set.labels).clone()
    labels[:20] = logits[:20].argmax(1)  # right in many, not in all
    labels[20:] = (logits[20:].argmax(1) + 1) % 2
    classes = model.classes
    found = calibrate(model, ImageSet("noise", "held-out", image_set.images, labels.numpy(), classes))
    assert found.temperature == pytest.approx(best_temperature(logits, labels), rel=0.01)
    assert found.nll <= found.nll_before == pytest.approx(float(cross_entropy(logits, labels)), abs=1e-3)
    assert (found.count, found.split, model.temperature) == (32, "held-out", 1.0)
