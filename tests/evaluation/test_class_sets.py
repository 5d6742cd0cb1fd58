"""A set whose classes are not all the model's, or not in its order, is measured by their names."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision.models import ResNet18_Weights

from payattention import create_model, save
from payattention.cli.app import run
from payattention.data import ImageSet, load_data
from payattention.data.masked import of_images
from payattention.data.same_classes import Difference, difference, known_part, numbered_as, numbers_among
from payattention.errors import DataError, UsageError
from payattention.evaluation import classify, compare, segment
from payattention.evaluation.attack import attack
from payattention.evaluation.attacks import PGD, named_attacks
from payattention.evaluation.direct_transfer import direct_transfer
from payattention.models import Classifier

CATEGORIES = ResNet18_Weights.IMAGENET1K_V1.meta["categories"]


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
    found, other = numbered_as(data, ("cat", "cow", "dog"))
    assert found.classes == ("cat", "cow", "dog")
    assert found.labels.tolist() == [2] * 4 + [0] * 4
    assert (found.images == data.images[[0, 1, 2, 3, 8, 9, 10, 11]]).all()
    assert other == Difference(missing=("cow",), unknown={"emu": 4})


def test_names_are_found_exactly_first_then_by_what_they_mean() -> None:
    assert numbers_among(["Cat", "car", "plane", "emu"], ["cat", "automobile", "airplane"]).tolist() == [0, 1, 2, -1]
    assert numbers_among(["car", "Car", "CAT"], ["automobile", "car", "Cat", "cat"]).tolist() == [1, 0, 2]
    assert numbers_among(["emu"], []).tolist() == [-1]


def test_imagenets_classes_are_found_by_number_and_by_synonym() -> None:
    own = [f"{name} ({k})" if name in ("crane", "maillot") else name for k, name in enumerate(CATEGORIES)]
    names = [
        "n01440764",
        "Tinca tinca",
        "golden_retriever",
        "cellphone",
        "Golden-Retriever",
        "crane",
        "n04162706",
        "emu",
    ]
    expected = ["tench", "tench", "golden retriever", "cellular telephone", "golden retriever", None, "seat belt", None]
    found = numbers_among(names, own).tolist()
    assert [None if number < 0 else CATEGORIES[number] for number in found] == expected
    assert numbers_among(["n01440764", "cellphone"], own[:10]).tolist() == [-1, -1]  # these are not all of ImageNet's


def test_what_needs_no_class_is_measured_on_what_is_known_or_on_all() -> None:
    data = with_masks(pictures("dog", "emu", "cat"))
    own = ("cat", "cow", "dog")
    for part in (known_part(data, own)[0], known_part(of_images(data), own)[0]):
        assert (part.classes, part.labels.tolist()) == (data.classes, [0] * 4 + [2] * 4)
    strange = pictures("emu", "gnu")
    assert known_part(strange, own) == (strange, Difference(own, {"emu": 4, "gnu": 4}, all_unknown=True))
    assert known_part(strange, ()) == (strange, Difference())
    assert difference(data.chosen(np.arange(4)), own) == Difference(missing=("cat", "cow"))


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


def with_masks(data: ImageSet) -> ImageSet:
    masks = np.zeros(data.images.shape[:3], np.bool_)
    masks[:, 8:24, 8:24] = True
    return replace(data, masks=masks)


def test_every_measurement_leaves_out_what_the_model_does_not_know(known: Classifier) -> None:
    """Of a set with a class more, the same numbers as without it; and the class is told."""
    more, same = (with_masks(pictures(*names)) for names in (("cat", "dog", "emu"), ("cat", "dog")))
    noise = named_attacks(["noise"], PGD())
    measurements: dict[str, Callable[[ImageSet], Any]] = {
        "classify": lambda data: classify(known, data),
        "attack": lambda data: attack(known, data, noise, [4]),
        "segment": lambda data: segment(known, data, size=32, true_class=True),
        "compare": lambda data: compare(known, data, methods=["cam"], costly=2),
    }
    for name, measure in measurements.items():
        one, other = measure(more), measure(same)
        assert (one.missing, dict(one.unknown), one.all_unknown, one.count) == (("cow",), {"emu": 4}, False, 8), name
        left_out = "left out, since the model does not know their class: images of emu (4)"
        assert [*one.class_notes()] == ["no image is of the model's classes: cow", left_out], name
        assert numbers_of(one) == numbers_of(other), name
    shared = direct_transfer(known, more)
    assert (shared.unknown, shared.shared_count, shared.count) == (("emu",), 8, 12)


def numbers_of(result: Any) -> dict[str, Any]:
    """What was measured, without times and what was told of classes."""
    values = result.as_json()
    for row in values.get("rows", ()):
        del row["milliseconds"]
    told = ("provenance", "missing", "unknown", "all_unknown")
    return {name: value for name, value in values.items() if name not in told}


def test_masks_of_strangers_are_measured_all_the_same(known: Classifier) -> None:
    strangers = with_masks(pictures("emu", "gnu"))
    for result in (segment(known, strangers, size=32), compare(known, strangers, methods=["cam"], costly=2)):
        assert (result.count, result.all_unknown) == (8, True)
        assert [*result.class_notes()] == ["the model knows none of the classes (emu, gnu); all pictures are measured"]
    with pytest.raises(UsageError, match="the model has no class 'emu'"):
        segment(known, strangers, size=32, true_class=True)


def test_many_names_are_one_short_line() -> None:
    many = create_model("vgg_gap", 100, 0.0625).eval()
    many.classes = tuple(f"kind {k}" for k in range(100))
    (note,) = classify(many, pictures("kind 0", "kind 7")).class_notes()
    assert note.endswith("kind 9, kind 10, kind 11 and 88 more")


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
    draw(Path("one"), ".", "dog")
    assert run(["evaluate", "run", "--data", "folder:one", "--split", "all", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["count"] == 3
    draw(Path("other"), ".", "dog", "emu")
    assert run(["evaluate", "run", "--data", "folder:other", "--json"]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert (result["count"], result["missing"], result["unknown"]) == (1, ["cat", "cow"], {"emu": 1})
    assert "note: no image is of the model's classes: cat, cow" in printed.err
    assert "note: left out, since the model does not know their class: images of emu (1)" in printed.err
    assert "every fifth picture of a class; the split all takes every one" in " ".join(printed.err.split())


@pytest.mark.parametrize("verb", ["segment", "compare", "attack"])
def test_other_verbs_go_on_another_folder_too(
    verb: str, known: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save(known, "run")
    draw(Path("other"), "test", "dog", "emu")
    for name in ("dog", "emu"):
        Path("other/masks/test", name).mkdir(parents=True)
        for picture in Path("other/test", name).iterdir():
            Image.fromarray(np.eye(32, dtype=np.uint8) * 255).save(Path("other/masks/test", name, picture.name))
    draw(Path("other"), "train", "dog", "emu")
    extra = {"compare": ["--methods", "cam"], "attack": ["--attacks", "noise", "--eps", "1"]}.get(verb, [])
    assert run([verb, "run", "--data", "folder:other", "--out", "out", "--json", *extra]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["unknown"] == {"emu": 3}
    assert json.loads(printed.out)["count"] == 3
    assert "note: no image is of the model's classes: cat, cow" in printed.err
    assert "note: left out, since the model does not know their class: images of emu (3)" in printed.err
