"""Every measurement says what it was measured on and where it comes from, prints as tables, and is kept as JSON."""

import inspect
import json
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from tempfile import TemporaryDirectory

import numpy as np
import pytest

import payattention as pa
from payattention import evaluation
from payattention.data import ImageSet
from payattention.evaluation import classify, compare, pointing, segment
from payattention.evaluation.attack import attack
from payattention.evaluation.attacks import Noise
from payattention.evaluation.calibration import calibrate
from payattention.evaluation.direct_transfer import direct_transfer
from payattention.evaluation.probing import Probe, ProbeConfig, probe
from payattention.evaluation.query import query_effect
from payattention.evaluation.result import Result
from payattention.evaluation.transfer import transfer
from payattention.models import Classifier
from payattention.system.reporting import Table, per_cent


def mostly_right(model: Classifier, data: ImageSet) -> ImageSet:
    """The set with labels that a model can be calibrated on, whatever it says."""
    said = np.array([one.label == "bright" for one in classify(model, data).predictions], np.int64)
    said[:4] = 1 - said[:4]
    return replace(data, labels=said)


def _probed(data: ImageSet) -> Probe:
    with TemporaryDirectory() as folder:
        return probe(ProbeConfig("test_resnet", ("knn",)), data, data, folder=Path(folder))


MEASURES: dict[str, Callable[[Classifier, ImageSet], Result]] = {
    "Calibration": lambda model, data: calibrate(model, mostly_right(model, data)),
    "Classification": classify,
    "Comparison": lambda model, data: compare(model, data, methods=["activation"], costly=2),
    "DirectTransfer": direct_transfer,
    "Pointing": pointing,
    "Probe": lambda model, data: _probed(data),
    "QueryEffect": query_effect,
    "Robustness": lambda model, data: attack(model, data, {"noise": Noise()}, [4.0]),
    "Segmentation": segment,
    "Transfer": lambda model, data: transfer(model, data, folds=2),
}


@pytest.fixture
def network() -> Classifier:
    model = pa.create_model("vgg_att2_concat_dp", 2, 0.0625).eval()
    model.classes = ("dark", "bright")
    return model


def test_no_result_is_forgotten() -> None:
    found = set()
    for module in walk_packages(evaluation.__path__, "payattention.evaluation."):
        for name, thing in vars(import_module(module.name)).items():
            if inspect.isclass(thing) and "provenance" in _fields(thing):
                assert issubclass(thing, Result), f"{name} is a result, and no Result"
                found.add(name)
    assert found - {"Result", "ClassResult"} == MEASURES.keys()


def _fields(thing: type) -> dict[str, object]:
    return getattr(thing, "__dataclass_fields__", {})


@pytest.mark.parametrize("name", MEASURES)
def test_a_result_says_what_it_is_of_and_is_kept_as_json(name: str, network: Classifier, image_set: ImageSet) -> None:
    result = MEASURES[name](network, replace(image_set, source="32 of 64 images"))
    assert type(result).__name__ == name
    assert (result.data, result.split, result.source, result.count) == ("noise", "train", "32 of 64 images", 32)
    kept = result.as_json()
    assert list(kept)[-1] == "provenance"
    of_pictures = {"predictions"} | ({"maps"} if name == "Comparison" else set())
    assert json.loads(json.dumps(kept, allow_nan=False)).keys() == _fields(type(result)).keys() - of_pictures
    headings = [heading for part in result.report() if isinstance(part, Table) for heading in part.columns]
    assert headings
    assert all(heading in str(result) for heading in headings)


def test_a_table_aligns_numbers_and_shows_what_is_missing() -> None:
    text = str(Table(("map", "hits"), [("layer7", 1234), ("layer10", 5), ("centre", None)], "peaks"))
    rows = ["  layer7    1,234", "  layer10       5", "  centre        -"]
    assert [line.rstrip() for line in text.splitlines()[-3:]] == rows
    text = str(Table(("map", "hits"), [("layer7", "12.5 ±1.0"), ("layer10", "none")]))
    assert [line.rstrip() for line in text.splitlines()[-2:]] == ["  layer7    12.5 ±1.0", "  layer10   none"]


def test_a_share_is_rounded_in_per_cent() -> None:
    assert [per_cent(1 / 3), per_cent(1 / 3, 1), per_cent(1)] == [33.333, 33.3, 100.0]
