"""Features and transfer: the last classifier's own input, scikit-learn's own cross-validation, and counts by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import nn

import payattention as pa
from payattention.data import ImageSet
from payattention.errors import DataError, UsageError
from payattention.evaluation.direct_transfer import direct_transfer
from payattention.evaluation.transfer import features_of, transfer
from payattention.evaluation.whitening import whitening
from payattention.models import Classifier, Look, ModelConfig
from payattention.models.heads import IndepHead
from payattention.models.preprocessing import GcnZca
from settling import settled

SMALL = 0.0625
WIDTHS = {
    "vgg": 512,
    "vgg_gap": 512,
    "vgg_pan": 512,
    "vgg_att_pc": 512,
    "vgg_att2_concat_pc": 1024,
    "vgg_att3_concat_pc": 1280,
    "resnet164": 256,
    "resnet164_att2_concat_pc": 384,
}
"""What the authors exported from each network."""


@pytest.mark.parametrize("name", WIDTHS)
def test_the_features_are_as_many_as_the_authors_exported(name: str) -> None:
    with torch.device("meta"):
        model = pa.create_model(name, 10).eval()
        assert model.features(torch.empty(2, 3, 32, 32)).shape == (2, WIDTHS[name])


def network(name: str) -> Classifier:
    if name.startswith("timm"):
        return settled(pa.attach("resnet10t", 3, levels=2, freeze="frozen" in name))
    return settled(pa.create_model(name, 3, SMALL))


@pytest.mark.parametrize("name", [*pa.list_models(), "timm", "timm, frozen"])
@torch.no_grad()
def test_the_last_classifier_on_the_features_gives_the_logits(name: str, images: torch.Tensor) -> None:
    model = network(name)
    features = model.features(images)
    head = getattr(model, "head", None)
    if hasattr(head, "classifiers"):  # each level's classifier sees its own part
        parts = features.split([fc.in_features for fc in head.classifiers], dim=1)
        levels = torch.stack([fc(part) for fc, part in zip(head.classifiers, parts, strict=True)])
        assert isinstance(head, IndepHead)
        torch.testing.assert_close(levels.softmax(2).mean(0), model(images).softmax(1))
        return
    last = model.classifier if head is None else head.classifier
    last = last[-1] if isinstance(last, nn.Sequential) else last
    torch.testing.assert_close(last(features), model(images))


@pytest.mark.float32
@pytest.mark.parametrize("standardise", [False, True])
def test_against_scikit_learns_cross_validation(standardise: bool, image_set: ImageSet) -> None:
    """With labels that are half noise, so that the folds differ."""
    random = np.random.default_rng(0)
    labels = np.where(random.random(32) < 0.5, image_set.labels, random.integers(0, 2, 32))
    data = replace(image_set, labels=labels)
    model = settled(pa.create_model("vgg_att2_concat_pc", 2, SMALL))
    pixels = torch.from_numpy(data.images).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        features = torch.cat([model.features(image[None]) for image in pixels]).numpy()
    svm = LinearSVC(dual="auto", random_state=3, max_iter=100_000)
    svm = make_pipeline(StandardScaler(), svm) if standardise else svm
    folds = StratifiedKFold(4, shuffle=True, random_state=3)
    expected = 100 * cross_val_score(svm, features, labels, cv=folds)
    result = transfer(model, data, folds=4, standardise=standardise, max_iter=100_000, seed=3)
    assert result.folds == pytest.approx(expected, abs=1e-3)
    assert len(set(result.folds)) > 1
    assert result.accuracy == pytest.approx(expected.mean(), abs=1e-3)
    assert result.deviation == pytest.approx(np.sqrt(((expected - expected.mean()) ** 2).sum() / 3), abs=1e-3)
    assert (result.classes, result.dimension, result.unfinished) == (2, 64, 0)


def test_what_the_features_hold_is_found_and_chance_is_not_beaten(image_set: ImageSet) -> None:
    """Dark and bright images are told apart by features that nobody trained; labels without a cause are not."""
    model = settled(pa.create_model("vgg", 7, SMALL))  # its own classes do not matter
    assert transfer(model, image_set).accuracy == 100
    by_chance = replace(image_set, labels=np.arange(32) // 2 % 2)
    assert transfer(model, by_chance).accuracy < 90


@pytest.mark.float32
def test_whitening_is_the_sets_own_and_leaves_the_model_as_it_was(image_set: ImageSet) -> None:
    """The features are those of a network that whitens by nature, fitted on the set."""
    data = replace(image_set, images=image_set.images[:, ::2, ::2].copy(), masks=None)
    model = settled(pa.create_model("vgg", 2, SMALL))
    own, pixels = model.preprocessing, torch.from_numpy(data.images).permute(0, 3, 1, 2)
    with whitening(model, data):
        seen = features_of(model, data, torch.device("cpu"))
    assert model.preprocessing is own
    model.preprocessing = GcnZca(16)
    model.preprocessing.fit(pixels)
    with torch.no_grad():
        np.testing.assert_allclose(seen, model.features(pixels.float() / 255), atol=1e-5)
    model.preprocessing = own
    assert transfer(model, data, whiten=True).whitened
    assert np.abs(seen - features_of(model, data, torch.device("cpu"))).max() > 1e-3


def test_only_small_squares_are_whitened() -> None:
    with pytest.raises(UsageError, match="images of stl are 65x65: whitening takes squares of 64x64 pixels at most"):
        direct_transfer(
            Brightness(CIFAR10),
            replace(seen_as([("car", "cat")]), images=np.zeros((1, 65, 65, 3), np.uint8)),
            whiten=True,
        )


def test_an_svm_that_was_stopped_is_counted(image_set: ImageSet) -> None:
    model = settled(pa.create_model("vgg", 2, SMALL))
    assert transfer(model, image_set, folds=3, max_iter=1).unfinished == 3


def test_a_model_whose_training_diverged(image_set: ImageSet) -> None:
    model = settled(pa.create_model("vgg", 2, SMALL))
    model.classifier[0].weight.data[0] = float("nan")
    with pytest.raises(DataError, match="the features of this vgg are not finite"):
        transfer(model, image_set)


@pytest.mark.parametrize(
    ("labels", "folds", "message"),
    [
        ([0] * 32, 5, r"all images of noise \(train\) are of the class 'dark'"),
        ([0] * 28 + [1] * 4, 5, r"the class 'bright' has 4 images, too few for 5 folds; take fewer folds \(--folds\)"),
        ([0, 1] * 16, 1, "folds is 1"),
    ],
)
def test_folds_that_cannot_be_made(labels: list[int], folds: int, message: str, image_set: ImageSet) -> None:
    class Unused(Classifier):
        def features(self, images: torch.Tensor) -> torch.Tensor:
            raise AssertionError("features were computed for nothing")

    with pytest.raises(UsageError, match=message):
        transfer(Unused(), replace(image_set, labels=np.array(labels)), folds=folds)


class Brightness(Classifier):
    """Sees the class whose number is the red value of the first pixel."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        super().__init__()
        self.classes, self.config = classes, ModelConfig("brightness", len(classes))
        self.unused = nn.Parameter(torch.zeros(()))

    def look(self, images: torch.Tensor, query: torch.Tensor | None) -> Look:
        numbers = (images[:, 0, 0, 0] * 255).round().long()
        return Look(nn.functional.one_hot(numbers, len(self.classes)).float())


CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
STL10 = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")


def seen_as(pairs: list[tuple[str, str]]) -> ImageSet:
    """Images of STL-10's classes, each with what the model sees in it."""
    images = np.zeros((len(pairs), 2, 2, 3), np.uint8)
    images[:, 0, 0, 0] = [CIFAR10.index(seen) for _, seen in pairs]
    return ImageSet("stl", "test", images, np.array([STL10.index(true) for true, _ in pairs]), STL10)


def test_stl_by_hand() -> None:
    pairs = [
        ("car", "automobile"),
        ("car", "truck"),
        ("airplane", "airplane"),
        ("bird", "frog"),  # a class that STL-10 has not got
        ("monkey", "frog"),
        ("monkey", "horse"),  # 7 is horse here and monkey there
        ("horse", "horse"),
        ("horse", "ship"),  # 8 is ship in both
    ]
    result = direct_transfer(Brightness(CIFAR10), seen_as(pairs))
    assert len(result.shared) == 9
    assert result.shared["car"] == "automobile"
    assert result.unknown == ("monkey",)
    assert (result.count, result.shared_count) == (8, 6)
    assert result.accuracy == pytest.approx(100 * 3 / 8)
    assert result.shared_accuracy == pytest.approx(100 * 3 / 6)
    assert result.class_accuracies == {"airplane": 100.0, "bird": 0.0, "car": 50.0, "horse": 50.0}


def test_a_model_that_knows_every_shared_class_is_still_wrong_on_monkeys() -> None:
    same = [(name, "automobile" if name == "car" else name) for name in STL10 if name != "monkey"]
    result = direct_transfer(Brightness(CIFAR10), seen_as([*same, ("monkey", "dog")]))
    assert result.shared_accuracy == 100
    assert result.accuracy == 90


def test_classes_that_cannot_be_matched() -> None:
    data = seen_as([("monkey", "frog")])
    with pytest.raises(UsageError, match=r"images of stl are of no class that the model knows .* leave out --direct"):
        direct_transfer(Brightness(CIFAR10), data)
    nameless = Brightness(CIFAR10)
    nameless.classes = ()
    with pytest.raises(UsageError, match="does not know the names of its classes"):
        direct_transfer(nameless, data)
