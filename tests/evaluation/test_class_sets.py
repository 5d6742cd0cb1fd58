"""A set whose classes are not all the model's, or not in its order, is measured by their names."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from payattention import create_model, save
from payattention.cli.app import run
from payattention.data import ImageSet, load_data
from payattention.data.same_classes import numbered_as, without_images
from payattention.errors import DataError, UsageError
from payattention.evaluation import classify
from payattention.models import Classifier


@pytest.fixture
def known() -> Classifier:
    model = create_model("vgg_gap", 3, 0.0625).eval()
    model.classes = ("cat", "cow", "dog")
    return model


def pictures(*classes: str, each: int = 4) -> ImageSet:
    labels = np.repeat(np.arange(len(classes)), each)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8)
    return ImageSet("set", "test", images, labels.astype(np.int64), classes)


def test_labels_follow_the_names() -> None:
    data = pictures("dog", "emu", "cat")
    found, unknown = numbered_as(data, ("cat", "cow", "dog"))
    assert found.classes == ("cat", "cow", "dog")
    assert found.labels.tolist() == [2] * 4 + [0] * 4
    assert (found.images == data.images[[0, 1, 2, 3, 8, 9, 10, 11]]).all()
    assert unknown == {"emu": 4}
    assert without_images(found) == ("cow",)


def test_the_order_of_classes_changes_no_error(known: Classifier) -> None:
    data = pictures("cat", "cow", "dog")
    turned = replace(data, labels=2 - data.labels, classes=("dog", "cow", "cat"))
    assert classify(known, turned).class_errors == classify(known, data).class_errors


def test_a_class_less_and_a_class_more(known: Classifier) -> None:
    whole, part = pictures("cat", "dog"), pictures("cat", "dog", "emu")
    one, other = classify(known, whole), classify(known, part)
    assert (one.missing, one.unknown, one.count) == (("cow",), {}, 8)
    assert (other.missing, other.unknown, other.count) == (("cow",), {"emu": 4}, 8)
    assert one.error == classify(known, part.chosen(slice(8))).error


def test_no_class_in_common_is_refused(known: Classifier) -> None:
    with pytest.raises(UsageError, match="set has no class of the model's"):
        classify(known, pictures("emu", "gnu"))
    with pytest.raises(UsageError, match="no image of set, test, is of a class"):
        classify(known, pictures("emu", "cat").chosen(slice(4)))
    known.classes = ()
    with pytest.raises(UsageError, match="the model has 3 classes, set has 2"):
        classify(known, pictures("cat", "dog"))


def draw(folder: Path, split: str, *classes: str) -> None:
    for bright, name in enumerate(classes):
        (folder / split / name).mkdir(parents=True)
        for number in range(3):
            pixels = np.full((32, 32, 3), 60 * bright + number, np.uint8)
            Image.fromarray(pixels).save(folder / split / name / f"{number}.png")


def test_a_class_that_training_lacks_is_left_out_and_listed(tmp_path: Path) -> None:
    draw(tmp_path, "train", "cat", "dog")
    draw(tmp_path, "test", "bird", "dog")
    train, test = (load_data(f"folder:{tmp_path}", split) for split in ("train", "test"))
    assert train.classes == test.classes == ("cat", "dog")
    assert train.skipped == ()
    assert test.labels.tolist() == [1, 1, 1]
    assert f"{tmp_path / 'test/bird'}: a class that the train split lacks (3 left out)" in test.skipped
    assert f"{tmp_path / 'test/cat'}: no pictures for the test split" in test.skipped
    with pytest.raises(DataError, match="lacks"):
        load_data(f"folder:{tmp_path}", "test", strict=True)


@pytest.mark.parametrize(
    ("train", "test"),
    [("Train", "Test"), ("training", "testing"), ("TRAIN", "val"), ("train", "Valid"), ("Training", "validation")],
)
def test_splits_by_their_usual_names(tmp_path: Path, train: str, test: str) -> None:
    draw(tmp_path, train, "cat", "dog")
    draw(tmp_path, test, "cat", "dog")
    for split in ("train", "test"):
        data = load_data(f"folder:{tmp_path}", split)
        assert (len(data), data.classes, data.skipped) == (6, ("cat", "dog"), ())


def test_the_nearest_name_of_a_split_is_taken_and_a_class_may_be_called_so(tmp_path: Path) -> None:
    draw(tmp_path / "a", "train", "cat", "dog")
    draw(tmp_path / "a", "val", "cat")
    draw(tmp_path / "a", "test", "dog")
    assert load_data(f"folder:{tmp_path / 'a'}", "test").labels.tolist() == [1, 1, 1]
    draw(tmp_path, "b", "training", "walking", "valid")
    assert load_data(f"folder:{tmp_path / 'b'}", "train").classes == ("training", "valid", "walking")
    draw(tmp_path / "c", "Training", "cat", "dog")
    with pytest.raises(DataError, match=r"no test folder \(test, testing, val"):
        load_data(f"folder:{tmp_path / 'c'}", "test")


def test_evaluate_on_another_folder(
    known: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save(known, "run")
    draw(Path("other"), ".", "dog", "emu")
    assert run(["evaluate", "run", "--data", "folder:other", "--json"]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert (result["count"], result["missing"], result["unknown"]) == (1, ["cat", "cow"], {"emu": 1})
    assert "note: no image is of the model's classes: cat, cow" in printed.err
    assert "note: left out, since the model does not know their class: images of emu (1)" in printed.err
