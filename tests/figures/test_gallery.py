"""The gallery's file: what stands in it is what went in, whatever the names are, and it loads nothing."""

import base64
import hashlib
import io
import json
import re
import weakref
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

import payattention as pa
from galleries import HOSTILE, judged, peaked, record
from payattention.cli.app import run
from payattention.data import ImageSet
from payattention.errors import DataError, UsageError
from payattention.evaluation import classify
from payattention.explaining.request import Request
from payattention.figures.gallery import Record, records_of_files, records_of_set, requests_of, write_gallery
from payattention.figures.gallery.record import LARGEST_MAP, packed, quantised
from payattention.models import Classifier
from payattention.system.text import readable


class Page(HTMLParser):
    """The tags of a page with their attributes, and the texts within them."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.within = ""
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.within = tag

    def handle_endtag(self, tag: str) -> None:
        self.within = ""

    def handle_data(self, data: str) -> None:
        self.texts.append((self.within, data))

    @property
    def scripts(self) -> list[str]:
        return [text for tag, text in self.texts if tag == "script"]

    @property
    def records(self) -> list[dict]:
        return json.loads(self.scripts[0])["records"]


def written(tmp_path: Path, *records: Record, **given: object) -> Page:
    return Page(write_gallery(tmp_path / "page.html", iter(records), title="title", **given))  # type: ignore[arg-type]


def values_of(packed: dict) -> np.ndarray:
    steps = np.frombuffer(base64.b64decode(packed["bytes"]), np.uint8).reshape(packed["cells"])
    return packed["low"] + steps / 255 * (packed["high"] - packed["low"])


def test_what_went_in_stands_in_it(tmp_path: Path) -> None:
    records = judged()
    page = written(tmp_path, *records)
    assert len(page.records) == 12
    for held, own in zip(page.records, records, strict=True):
        assert held["name"] == readable(own.name)
        assert held["predicted"] == readable(own.predicted)
        assert held["true"] == readable(own.true)
        assert [p for _, p in held["probabilities"]] == pytest.approx([*own.probabilities.values()])
        picture = Image.open(io.BytesIO(base64.b64decode(held["picture"].partition(",")[2])))
        assert np.array_equal(np.asarray(picture.convert("RGB")), np.asarray(own.picture))
        assert {method: [*levels] for method, levels in held["maps"].items()} == {
            method: [*levels] for method, levels in own.maps.items()
        }
        for method, levels in own.maps.items():
            for level, values in levels.items():
                step = np.ptp(values) / 255
                assert np.allclose(values_of(held["maps"][method][level]), values, rtol=1e-5, atol=0.51 * step)


def test_names_cannot_leave_their_place(tmp_path: Path) -> None:
    plain, hostile = (written(tmp_path / kind, record(2)) for kind in "ab")
    hostile = Page(write_gallery(tmp_path / "c.html", [record(2, HOSTILE)], title=HOSTILE, about=HOSTILE))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
    assert ("title", readable(HOSTILE)) in hostile.texts
    assert not re.search(r"<img src=x|</script>(?!\n)", hostile.source)
    hostile.source.encode()  # no surrogates


def test_it_loads_nothing_and_runs_nothing_else(tmp_path: Path) -> None:
    page = written(tmp_path, *judged())
    assert not re.search(r"(?i)\bhttps?:|@import|url\(|\beval\b|innerHTML|document\.write", page.source)
    for tag, attributes in page.tags:
        assert not {*attributes} & {"src", "srcset", "action", "style"}, tag
        assert attributes.get("href", "data:,") == "data:,"
        assert not [name for name in attributes if name.startswith("on")], tag
    (policy,) = (own["content"] for tag, own in page.tags if own.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    (style,) = (text for tag, text in page.texts if tag == "style")
    for kind, source in (("script-src", page.scripts[1]), ("style-src", style)):
        assert rules[kind] == f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


@pytest.mark.parametrize("shape", [(1, 1), (7, 7), (4, 9), (56, 40)])
def test_a_map_keeps_its_values_to_a_256th(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).random(shape, np.float32) ** 3 / 50
    held = packed(values)
    assert held["grid"] == held["cells"] == [*shape]
    assert np.abs(values_of(held) - values).max() <= 0.51 * np.ptp(values) / 255 + 1e-7
    steps = np.frombuffer(base64.b64decode(held["bytes"]), np.uint8).reshape(shape)
    assert np.array_equal(steps, quantised(values))
    assert np.array_equal(steps.reshape(-1).argsort(kind="stable")[-1:], values.reshape(-1).argsort()[-1:])


def test_a_flat_map_is_flat_and_a_fine_one_is_averaged() -> None:
    flat = packed(np.full((3, 4), 0.25, np.float32))
    assert (flat["low"], flat["high"], flat["contrast"]) == (0.25, 0.25, 0)
    assert np.array_equal(values_of(flat), np.full((3, 4), 0.25))
    assert packed(np.float32([[0.95, 1.0]]))["contrast"] == pytest.approx(0.5)  # a twentieth; from a tenth on it is 1

    fine = np.random.default_rng(0).random((4 * LARGEST_MAP, 2 * LARGEST_MAP), np.float32)
    held = packed(fine)
    assert (held["grid"], held["cells"]) == ([*fine.shape], [LARGEST_MAP, LARGEST_MAP // 2])
    blocks = fine.reshape(LARGEST_MAP, 4, LARGEST_MAP // 2, 4).mean((1, 3))
    assert np.allclose(values_of(held), blocks, atol=1 / 255)


def test_a_thousand_photographs_are_less_than_20_mb() -> None:
    maps = {method: {level: peaked(3, 3, 14, 14) for level in ("fine", "coarse", "combined")} for method in "ab"}
    pictures = [Image.fromarray(getattr(data, name)()) for name in ("astronaut", "chelsea", "coffee")]
    sizes = [len(replace(record(0), picture=picture, maps=maps).as_json(224)) for picture in pictures]
    assert sum(sizes) / len(sizes) < 20_000


def test_only_a_few_records_are_held_at_a_time(tmp_path: Path) -> None:
    alive: list[weakref.ref] = []

    def coming() -> Iterator[Record]:
        for number in range(12):
            assert sum(ref() is not None for ref in alive) <= 1
            one = record(number)
            alive.append(weakref.ref(one))
            yield one

    assert len(Page(write_gallery(tmp_path / "page.html", coming(), title="")).records) == 12


def test_it_is_written_whole_or_not_at_all_and_over_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[Record]:
        yield record(0)
        raise DataError("that is the end")

    with pytest.raises(DataError, match="that is the end"):
        write_gallery(tmp_path / "page.html", broken(), title="")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "page.html").write_text("mine")
    with pytest.raises(UsageError, match="there already"):
        write_gallery(tmp_path / "page.html", [], title="")
    with pytest.raises(UsageError, match=r"\.html"):
        write_gallery(tmp_path / "page.png", [], title="")
    assert (tmp_path / "page.html").read_text() == "mine"


def test_a_set_s_records_say_what_evaluate_counts(model: Classifier, image_set: ImageSet) -> None:
    model.classes = ("bright", "other", "dark")
    said = [*records_of_set(requests_of(model), image_set, 224)]
    wrong = np.array([one.true != one.predicted for one in said])
    assert 100 * wrong.mean() == pytest.approx(classify(model, image_set).error, abs=0.01)
    assert [one.true for one in said] == ["dark", "bright"] * 16
    assert {*said[0].maps} == {"attention", "Grad-CAM"}
    own = pa.explain(model, Image.fromarray(image_set.images[5]))
    assert np.allclose(said[5].maps["attention"]["combined"], own.joint, atol=1e-6)
    assert said[5].predicted == own.label
    assert said[5].probabilities["bright"] == pytest.approx(float(own.probabilities[0]), abs=1e-5)

    model.classes = ("bright", "other", "none of them")  # what it does not know is left out, as of the error
    assert {one.true for one in records_of_set(requests_of(model), image_set, 224)} == {"bright"}


def test_a_file_s_class_is_its_folder_s(model: Classifier, picture: Path, tmp_path: Path) -> None:
    known = tmp_path / "bird" / "one.png"
    known.parent.mkdir()
    picture.rename(known)
    other = tmp_path / "other" / "two.png"
    other.parent.mkdir()
    Image.open(known).resize((500, 400)).save(other)
    first, second = records_of_files(requests_of(model, ["grad_cam"]), [known, other], 100)
    assert (first.true, second.true) == ("bird", None)
    assert second.picture.size == (100, 80)
    assert {*first.maps} == {"Grad-CAM"}
    assert {*pa.explain(model, known).maps} < {*first.maps["Grad-CAM"]}

    asked = Request.of(model, method="grad_cam", target="airplane")
    (one,) = records_of_files([asked], [known], 100)
    assert [*one.maps] == ["Grad-CAM of airplane"]
    own = pa.explain(model, known, method="grad_cam", target="airplane")
    assert np.allclose(one.maps["Grad-CAM of airplane"]["layer10"], own.maps["layer10"], atol=1e-6)
    with pytest.raises(UsageError, match="name it"):
        next(records_of_files([Request.of(model, method="grad_cam", target="all")], [known], 100))


def test_a_network_without_attention_has_a_gallery(image_set: ImageSet) -> None:
    plain = pa.create_model("vgg", num_classes=2, width=0.0625).eval()
    plain.classes = image_set.classes
    (one, *_) = records_of_set(requests_of(plain), image_set.first(1), 224)
    assert [*one.maps] == ["Grad-CAM"]


def test_from_the_command_line(
    model: Classifier,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    pa.save(model, "run")
    for name in ("bird", "airplane", "airplane/broken"):
        Path("photos", name).mkdir(parents=True)
    Image.open(picture).save("photos/bird/a.png")
    Image.open(picture).save("photos/airplane/b.png")
    Path("photos/airplane/broken/c.png").write_bytes(b"no picture")

    assert run(["maps", "run", "photos", "--html", "maps.html", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["html"], said["pictures"], len(said["skipped"])) == ("maps.html", 2, 1)
    assert {one["true"] for one in Page(Path("maps.html")).records} == {"bird", "airplane"}
    assert not Path("runs").exists()
    assert run(["maps", "run", "photos", "--html", "both.html", "--out", "both"]) == 0
    assert "gallery: both.html (2 pictures," in capsys.readouterr().out
    assert Path("both/sheet.png").is_file()

    asked = ["maps", "run", "photos", "--html", "new.html", "--method", "grad_cam", "--target"]
    assert run([*asked, "all"]) == 2
    assert "name it" in capsys.readouterr().err
    assert run([*asked, "bird", "--style", "dim"]) == 0
    page = Page(Path("new.html"))
    assert {*page.records[0]["maps"]} == {"Grad-CAM of bird"}
    assert json.loads(page.scripts[0])["settings"]["style"] == "dim"

    Path("photos/airplane/broken/c.png").unlink()
    assert run(["evaluate", "run", "--data", "folder:photos", "--html", "evaluate.html"]) == 0
    assert "gallery: evaluate.html" in capsys.readouterr().out
    assert {one["true"] for one in Page(Path("evaluate.html")).records} <= {"bird", "airplane"}

    for page, why in (
        ("maps.html", "there already"),
        ("newer.png", "ends in .html"),
        ("maps.html/new.html", "is a file"),
    ):
        for verb in (["maps", "run", "photos"], ["evaluate", "run", "--data", "folder:photos"]):
            assert run([*verb, "--html", page]) == 2
            assert why in capsys.readouterr().err
