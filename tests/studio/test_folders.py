"""A folder or a run becomes a gallery: within the places that were given, and whatever lies in it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import payattention as pa
from payattention.errors import DataError, UsageError
from payattention.models import Classifier
from payattention.studio.folders import Folders, gallery_of_folder, gallery_of_run
from tiny import pixels


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for k in range(12):
        file = tmp_path / "home" / "pets" / ("cat", "dog")[k % 2] / f"{k}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(k, 30, 40)).save(file)
    (tmp_path / "home" / "pets" / "cat" / "broken.png").write_bytes(b"no picture")
    (tmp_path / "home" / "notes").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "home" / "out").symlink_to(tmp_path / "other")
    return tmp_path / "home"


def test_only_what_lies_in_the_given_places_can_be_named(place: Path) -> None:
    folders = Folders([place])
    assert folders.offered() == ["pets", "pets/cat", "pets/dog"]
    for text in ("pets", " pets/../pets ", str(place / "pets")):
        assert folders.folder(text) == (place / "pets").resolve()
    for text in ("..", "/etc", "pets/../../other", "out", "~root", "\0", "", "file:///etc"):
        with pytest.raises((UsageError, DataError)) as refused:
            folders.folder(text)
        assert "\n" not in str(refused.value)
    with pytest.raises(DataError, match="pets/bird: no such folder"):
        folders.folder("pets/bird")


@pytest.fixture(scope="module")
def model() -> Classifier:
    own = pa.create_model("vgg_att2_concat_pc", 2, width=0.0625).eval()
    own.classes = ("cat", "dog")
    return own


def records_in(html: str) -> list[dict[str, Any]]:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1])[
        "records"
    ]


def test_a_folders_pictures_with_their_truth_and_what_cannot_be_read(place: Path, model: Classifier) -> None:
    told: list[tuple[int, int]] = []
    found = gallery_of_folder(
        place / "pets", lambda work: work(model), ["m"], told=lambda done, count: told.append((done, count))
    )
    assert {(one["name"], one["true"]) for one in records_in(found.html)} == {
        (f"{name}/{k}.png", name) for k in range(12) for name in [("cat", "dog")[k % 2]]
    }
    assert (found.shown, found.found, len(found.left_out)) == (12, 13, 1)
    assert found.said.startswith("12 of 13 pictures; 1 could not be read: ")
    assert told == [(0, 13), (8, 13), (13, 13)]
    some = gallery_of_folder(place / "pets", lambda work: work(model), ["m"], most=3)
    assert [one["name"] for one in records_in(some.html)] == ["cat/0.png", "dog/9.png"]
    with pytest.raises(DataError, match="no pictures in this folder"):
        gallery_of_folder(place / "notes", lambda work: work(model), ["m"])
    broken = place.parent / "other"
    (broken / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="none of the pictures can be read"):
        gallery_of_folder(broken, lambda work: work(model), ["m"])


def test_a_runs_test_pictures_by_its_own_model(place: Path, model: Classifier, tmp_path: Path) -> None:
    (place / "pets" / "cat" / "broken.png").unlink()
    run = tmp_path / "run"
    run.mkdir()
    model.image_size = 32
    pa.save(model, run / "model.safetensors")
    reading = {"name": f"folder:{place / 'pets'}"}
    config = {"data": {"name": "pets", "test": 4, "measured_on": "test"}, "reading": reading}
    (run / "config.json").write_text(json.dumps(config))
    found = gallery_of_run(run, lambda work: work(model))
    assert sorted(one["true"] for one in records_in(found.html)) == ["cat", "cat", "dog", "dog"]
    assert found.said == "4 pictures."
    (run / "config.json").write_text(json.dumps(config | {"reading": None}))
    with pytest.raises(UsageError, match="does not tell which pictures it was measured on"):
        gallery_of_run(run, lambda work: work(model))
