"""What an engineer asks of a classifier first, against scikit-learn and scipy."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import binomtest, ttest_ind
from sklearn.metrics import classification_report, confusion_matrix
from torch import nn

import payattention as pa
from payattention.data import ImageSet
from payattention.evaluation import classify, pointing
from payattention.evaluation.confusion import as_matrix, class_scores, confusion, most_often_mistaken
from payattention.evaluation.metrics import energy_inside
from payattention.evaluation.pointing import ByAnswer
from payattention.figures.evaluate import _entries, mistakes_sheets, write_evaluation
from payattention.models import Classifier, Look
from payattention.models.classifier import ModelConfig

CLASSES = ("ant", "bee", "cat", "dog", "emu")


@pytest.fixture
def labels() -> tuple[np.ndarray, np.ndarray]:
    """Labels and guesses of four classes: of one no image is, one is never guessed, and the fifth is neither."""
    random = np.random.default_rng(0)
    return random.choice([0, 1, 3], 60), random.choice([0, 1, 2], 60)


def test_class_scores_are_those_of_scikit_learns_report(labels: tuple[np.ndarray, np.ndarray]) -> None:
    true, said = labels
    report = classification_report(true, said, output_dict=True, zero_division=np.nan, labels=range(4))
    found = class_scores(true, said, CLASSES)
    assert list(found) == list(CLASSES[:4])
    for number, name in enumerate(CLASSES[:4]):
        own, theirs = found[name], report[str(number)]
        assert own.count == theirs["support"]
        for mine, score in ((own.recall, "recall"), (own.precision, "precision"), (own.f1, "f1-score")):
            expected = theirs[score]
            assert mine is None if np.isnan(expected) else mine == pytest.approx(100 * expected, abs=1e-3)
    assert (found["cat"].recall, found["dog"].precision) == (None, None)


def test_the_confusion_matrix_is_scikit_learns(labels: tuple[np.ndarray, np.ndarray]) -> None:
    true, said = labels
    counts = confusion(true, said, CLASSES)
    assert as_matrix(counts, CLASSES).tolist() == confusion_matrix(true, said, labels=range(5)).tolist()
    assert all(count for row in counts.values() for count in row.values())
    pairs = most_often_mistaken(counts, 100)
    assert all(one != other for one, other, _ in pairs)
    assert [n for *_, n in pairs] == sorted((n for *_, n in pairs), reverse=True)


class Told(Classifier):
    """Tells each image's class, and where it looks, from its first pixel: red is the class, green how far it looks at
    the upper left corner, where the object is."""

    levels = ("layer",)

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.config = ModelConfig("told", 2)

    def look(self, images: torch.Tensor, query: torch.Tensor | None) -> Look:
        first = images[:, :2, 0, 0]
        logits = torch.stack([torch.zeros(len(images)), 4 * first[:, 0] - 2], dim=1)
        maps = torch.full((len(images), 32, 32), 0.1)
        maps[:, :8, :8] += first[:, 1, None, None]
        maps[:, 20:24, 20:24] = 2.0
        return Look(logits, {"layer": maps})


@pytest.fixture
def told(image_set: ImageSet) -> ImageSet:
    """24 images told right and 8 told wrong; the wrong ones are looked at beside the object."""
    images = image_set.images.copy()
    said = image_set.labels.copy()
    said[:8] = 1 - said[:8]
    images[:, 0, 0, 0] = 255 * said
    images[:, 0, 0, 1] = np.where(np.arange(32) < 8, np.arange(32), np.linspace(100, 250, 32))
    return replace(image_set, images=images)


def test_an_error_has_wilsons_interval(told: ImageSet) -> None:
    result = classify(Told(), told)
    interval = binomtest(8, 32).proportion_ci(0.95, method="wilson")
    assert result.error == 25.0
    assert result.error_interval == pytest.approx((100 * interval.low, 100 * interval.high), abs=1e-3)
    assert result.confusion == {"dark": {"dark": 12, "bright": 4}, "bright": {"dark": 4, "bright": 12}}
    sure = 100 / (1 + np.exp(-2))
    assert result.calibration.ece == pytest.approx(abs(sure - 75), abs=1e-3)
    assert "error" in result.as_json()
    assert "predictions" not in result.as_json()


def test_where_it_looks_when_it_is_right_and_when_it_is_wrong(told: ImageSet) -> None:
    model = Told()
    found = pointing(model, told).by_answer
    images = torch.from_numpy(told.images).permute(0, 3, 1, 2).float() / 255
    energies = 100 * energy_inside(model.combined(model.attend(images).maps), torch.from_numpy(told.masks)).numpy()
    assert found is not None
    assert (found.right_count, found.wrong_count) == (24, 8)
    assert (found.right, found.wrong) == pytest.approx((energies[8:].mean(), energies[:8].mean()), abs=0.01)
    expected = ttest_ind(energies[8:], energies[:8], equal_var=False).confidence_interval()
    assert found.interval == pytest.approx((expected.low, expected.high), abs=0.02)
    assert pointing(model, told.chosen(np.arange(8, 32))).by_answer is None  # nothing is wrong there


def test_a_difference_is_told_in_words() -> None:
    text = str(ByAnswer(30.0, 50.0, 90, 10, -20.0, (-25.0, -15.0)))
    assert "20.0 less where it is right (95 % interval 15.0 ... 25.0, Welch)" in text


def test_a_folder_with_all_of_it(told: ImageSet, tmp_path: Path) -> None:
    model = Told()
    model.image_size = 32
    result = classify(model, told)
    write_evaluation(model, told, result, tmp_path, {"more": 1})
    kept = json.loads((tmp_path / "result.json").read_text())
    assert (kept["error"], kept["more"]) == (25.0, 1)
    with (tmp_path / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["picture"] for row in rows] == [f"noise, image {k}" for k in range(32)]
    assert sum(row["true"] != row["label"] for row in rows) == 8
    with (tmp_path / "confusion.csv").open() as file:
        assert list(csv.reader(file)) == [["true", "dark", "bright"], ["dark", "12", "4"], ["bright", "4", "12"]]
    with (tmp_path / "classes.csv").open() as file:
        assert next(csv.DictReader(file)) == {
            "class": "dark", "count": "16", "recall": "75.0", "precision": "75.0", "f1": "75.0",
        }  # fmt: skip
    with Image.open(tmp_path / "mistakes.png") as sheet:
        assert sheet.width > 3 * 160  # image, object, layer, combined
    for name in ("confusion.png", "reliability.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 200
    right = tmp_path / "right"
    perfect = told.chosen(np.arange(8, 32))
    write_evaluation(model, perfect, classify(model, perfect), right)
    assert not (right / "mistakes.png").exists()


def test_mistakes_of_networks_without_attention_are_shown_with_post_hoc_maps_or_without(image_set: ImageSet) -> None:
    """A row of one that is wrapped has its Grad-CAM; of one that has neither, the image alone."""
    layers = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    few = replace(image_set.first(8), masks=None)
    widths = []
    for model in (pa.create_model("vgg", 2, 0.0625).eval(), pa.wrap(nn.Sequential(*layers), image_size=32)):
        result = classify(model, few)
        assert result.error > 0
        entries = _entries(model, few, result, [k for k, one in enumerate(result.predictions) if one.wrong])
        assert all(entry.wrong for entry in entries)
        widths.append({len(entry.panels) for entry in entries})
        assert mistakes_sheets(model, few, result)
    assert widths == [{1}, {2}]
