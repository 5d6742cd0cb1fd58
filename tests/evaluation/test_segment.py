"""Segmentation: against masks and scores that are known by hand, and what becomes of bad input."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import payattention as pa
from payattention.attention.maps import stretched, upsampled
from payattention.cli.app import run
from payattention.data import ImageSet
from payattention.data.masked import MaskedPictures
from payattention.data.samples import Sample
from payattention.errors import DataError, UsageError
from payattention.evaluation import refinement, segment
from payattention.evaluation.metrics import jaccard
from payattention.evaluation.metrics.overlap import STEPS, best_threshold, jaccard_curve
from payattention.evaluation.segment import Segmented
from payattention.figures.segment import write_segmentation
from payattention.models import Classifier
from payattention.system import extras
from seeing import Brightness
from settling import settled


def picture(height: int, width: int, bright: tuple[slice, slice], value: int = 200) -> np.ndarray:
    """Grey, and brighter in a rectangle."""
    pixels = np.full((height, width, 3), 50, np.uint8)
    pixels[bright] = value
    return pixels


def mask(height: int, width: int, *objects: tuple[slice, slice]) -> np.ndarray:
    whole = np.zeros((height, width), np.bool_)
    for place in objects:
        whole[place] = True
    return whole


def of(*pairs: tuple[np.ndarray, np.ndarray], labels: Sequence[int] | None = None) -> MaskedPictures:
    samples = [
        Sample(pixels, f"picture {k}", 0 if labels is None else labels[k], truth)
        for k, (pixels, truth) in enumerate(pairs)
    ]
    return MaskedPictures("by hand", "test", ("dark", "bright"), samples)


TOP, LEFT, ALL = slice(0, 10), slice(0, 20), slice(None)


def test_scores_by_hand() -> None:
    """The model marks the brighter rectangle exactly, in pictures that it sees at their own size."""
    first = picture(20, 40, (TOP, ALL)), mask(20, 40, (ALL, LEFT))  # 400 and 400 pixels, 200 in common
    second = picture(30, 20, (TOP, ALL)), mask(30, 20, (TOP, slice(0, 5)))  # 200 and 50 pixels, 50 in common
    result = segment(Brightness(20), of(first, second, labels=[0, 1]))
    found = result.maps["combined"]
    assert found.class_jaccard == {"dark": pytest.approx(100 * 200 / 600, abs=0.01), "bright": 25}
    assert found.jaccard == pytest.approx(100 * (1 / 3 + 1 / 4) / 2, abs=0.01)
    assert found.pooled == pytest.approx(100 * (200 + 50) / (600 + 200), abs=0.01)
    assert found.class_pooled == found.class_jaccard
    # half of the bright pixels are object, and half of the rest (of first); a quarter of the bright ones (of second)
    assert found.precision == pytest.approx(100 * (1 / 2 + 1 / 4) / 2, abs=0.01)
    assert found.area == pytest.approx(100 * (400 / 800 + 200 / 600) / 2, abs=0.01)
    assert result.maps["low"] == result.maps["high"] == found
    everything = result.maps["all ones"]
    assert everything.class_jaccard == {"dark": 50, "bright": pytest.approx(100 * 50 / 600, abs=0.01)}
    assert everything.precision == everything.jaccard  # the object's share of the picture, either way
    assert (result.count, result.empty, result.size) == (2, 0, 20)
    assert result.class_counts == {"dark": 1, "bright": 1}


def test_several_objects_count_as_one_and_an_empty_one_as_a_miss() -> None:
    corners = mask(20, 20, (slice(0, 5), slice(0, 5)), (slice(5, 10), slice(5, 10)))
    result = segment(
        Brightness(20),
        of((picture(20, 20, (slice(0, 10), slice(0, 10))), corners), (picture(20, 20, (TOP, ALL)), mask(20, 20))),
    )
    found = result.maps["combined"]
    assert found.jaccard == 25  # 50 of 100 pixels, and 0
    assert found.pooled == pytest.approx(100 * 50 / (100 + 200), abs=0.01)
    assert found.precision == 50  # of the first picture alone
    assert result.empty == 1


def test_a_set_without_any_object_has_no_precision() -> None:
    found = segment(Brightness(20), of((picture(20, 20, (TOP, ALL)), mask(20, 20)))).maps["combined"]
    assert (found.jaccard, found.pooled, found.precision) == (0, 0, None)


def test_the_picture_keeps_its_size_and_proportions_whatever_the_model_sees() -> None:
    """Seen at 8 pixels, enlarged again, the edge is blurred, but the object is found where it is."""
    kept: list[Segmented] = []
    place = (slice(0, 24), slice(0, 30))
    data = of((picture(48, 100, place), mask(48, 100, place)))
    result = segment(Brightness(8), data, each=kept.append)
    assert kept[0].heat.shape == kept[0].masks["combined"].shape == (48, 100)
    assert result.maps["combined"].jaccard > 85
    assert result.maps["combined"].jaccard > 2 * result.maps["all ones"].jaccard


def test_a_loaded_set_is_measured_as_it_is(image_set: ImageSet) -> None:
    assert image_set.masks is not None
    result = segment(Brightness(32), image_set)
    assert result.count == 32
    assert result.maps["all ones"].jaccard == 100 * image_set.masks.mean()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.floats(0, 1), st.sampled_from([1, 3, 100, 1000]))
def test_the_curve_is_the_jaccard_index_at_each_threshold(seed: int, share: float, values: int) -> None:
    random = np.random.default_rng(seed)
    heat = (random.integers(values + 1, size=(5, 7)) / values).astype(np.float32)
    truth = random.random((5, 7)) < share
    curve = jaccard_curve(heat, truth)
    for k in range(STEPS + 1):
        cut = torch.from_numpy(heat >= np.float32(k / STEPS))[None]  # 100 values: a pixel at .29 passes .29
        assert curve[k] == pytest.approx(jaccard(cut, torch.from_numpy(truth)[None]).item())


def test_the_best_threshold_is_the_best_on_average() -> None:
    first, second = np.zeros(STEPS + 1), np.zeros(STEPS + 1)
    first[[10, 40]], second[[40, 90]] = (1, 0.7), (0.7, 1)
    assert best_threshold([first, second]) == 40


def slope(height: int = 20, width: int = 51) -> np.ndarray:
    """Brightness rises evenly from left to right."""
    return np.broadcast_to(np.linspace(0, 250, width).astype(np.uint8)[None, :, None], (height, width, 3)).copy()


def test_the_threshold_is_chosen_on_the_other_pictures() -> None:
    """There the object is the brightest fifth; here it is the brightest half, so that 0.8 takes 11 of 26 columns."""
    elsewhere = of((slope(), mask(20, 51, (ALL, slice(40, None)))))
    here = of((slope(), mask(20, 51, (ALL, slice(25, None)))))
    found = segment(Brightness(20), here, tune_on=replace(elsewhere, split="train")).maps["combined"]
    assert found.threshold is not None
    assert 0.78 < found.threshold <= 0.8
    assert found.tuned == pytest.approx(100 * 11 / 26, abs=0.01)
    untuned = segment(Brightness(20), here)
    assert untuned.maps["combined"].threshold is None
    assert untuned.tuned_on == ""


def red() -> np.ndarray:
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[5, 5, 0] = 255
    return pixels


def test_bad_pictures_are_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    fine = Sample(picture(20, 20, (TOP, ALL)), "fine", 0, mask(20, 20, (TOP, ALL)))
    bad = [
        Sample(red(), "nan", 0, mask(20, 20, (TOP, ALL))),
        Sample(picture(20, 20, (TOP, ALL)), "without", 0),
        Sample(picture(20, 20, (TOP, ALL)), "other size", 0, mask(20, 30, (TOP, ALL))),
        Sample(tmp_path / "gone.png", "gone.png", 0, mask(20, 20, (TOP, ALL))),
    ]
    data = replace(of(), samples=[bad[0], fine, *bad[1:], fine], problems=("known before",))
    result = segment(Brightness(20), data)
    assert result.count == 2
    assert result.maps["combined"].jaccard == 100
    assert result.left_out == (
        "known before",
        "nan: the combined map of Brightness holds NaN or infinite values",
        "without: it has no mask",
        "other size: the picture is 20x20, its mask 30x20",
        f"{tmp_path / 'gone.png'}: no such file",
    )
    with pytest.raises(DataError, match="none of the 4 pictures of by hand can be measured: nan: the"):
        segment(Brightness(20), replace(of(), samples=bad))


def test_what_cannot_be_asked_for() -> None:
    """None of it reads a picture: this one is not there."""
    data = replace(of(), samples=[Sample(Path("gone.png"), "gone.png", 0, mask(2, 2))])
    gap = pa.create_model("vgg_gap", 2, 0.0625)
    gap.classes = ("bright", "loud")
    for model, options, told in (
        (pa.create_model("vgg", 2, 0.0625), {}, "vgg has no attention maps"),
        (pa.create_model("vgg_att_pc", 2, 0.0625), {"size": 3}, "size is 3 pixels"),
        (Brightness(20), {"true_class": True}, "only vgg_gap and fast_gap have one of the true class"),
        (gap, {"true_class": True}, "the model has no class 'dark'"),
    ):
        with pytest.raises(UsageError, match=told):
            segment(model, data, **options)


@pytest.mark.float32
def test_the_class_map_of_the_true_class() -> None:
    model = settled(pa.create_model("vgg_gap", 2, 0.0625))
    model.classes, kept = ("bright", "dark"), []  # numbered the other way round
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    data = of((pixels, mask(32, 32, (TOP, ALL))))
    with torch.no_grad():
        predicted = int(model(images).argmax())
        for true_class, label in ((False, predicted), (True, 1)):
            segment(model, data, true_class=true_class, each=kept.append)
            by_hand = stretched(upsampled(model.class_map(images, torch.tensor([label])).relu(), (32, 32)))[0]
            np.testing.assert_allclose(kept[-1].heat, by_hand.numpy(), atol=1e-5)
        other = replace(data, classes=("bright", "dark"))
        segment(model, other, true_class=True, each=kept.append)
    assert not np.allclose(kept[-1].heat, kept[1].heat), "the two classes' maps should differ"


def test_refinement_is_asked_for_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"needs the package pydensecrf2: pip install 'payattention\[crf\]'"):
        segment(Brightness(20), of(), refine=True)


def test_refined_masks_follow_the_edges() -> None:
    """The map is too coarse for the edge, the picture shows it."""
    pytest.importorskip("pydensecrf")
    place = (slice(11, 37), slice(13, 35))
    data = of((picture(48, 48, place), mask(48, 48, place)))
    kept: list[Segmented] = []
    result = segment(Brightness(6), data, refine=True, each=kept.append)
    refined, coarse = result.maps["combined, refined"], result.maps["combined"]
    assert refined.jaccard > 95 > coarse.jaccard
    assert refined.precision is None
    assert next(iter(result.maps)) == "combined"


def test_guided_maps_follow_the_edges_and_are_measured_as_maps() -> None:
    place = (slice(11, 37), slice(13, 35))
    data = of((picture(48, 48, place), mask(48, 48, place)))
    kept: list[Segmented] = []
    result = segment(Brightness(6), data, refine="guided", tune_on=data, each=kept.append)
    followed, coarse = result.maps["combined, guided"], result.maps["combined"]
    assert followed.precision > coarse.precision
    assert followed.tuned >= coarse.tuned
    assert list(result.maps)[:2] == ["combined", "combined, guided"]
    assert kept[0].heat.shape == (48, 48)
    with pytest.raises(UsageError, match="unknown refinement 'guide'; did you mean 'guided'"):
        segment(Brightness(6), data, refine="guide")


def test_refinement_leaves_trivial_masks_alone() -> None:
    pytest.importorskip("pydensecrf")
    for whole in (np.ones((8, 9), np.bool_), np.zeros((8, 9), np.bool_)):
        assert (refinement.refined(Image.new("RGB", (9, 8)), whole) == whole).all()


def test_what_a_segmentation_leaves_behind(tmp_path: Path) -> None:
    place = (TOP, ALL)
    data = of(*[(picture(20, 24, place), mask(20, 24, place))] * 14, labels=[0, 1] * 7)
    data = replace(data, samples=[replace(sample, name="same.png") for sample in data.samples])
    result = write_segmentation(Brightness(20), data, tmp_path / "out")
    names = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    pictures = ["same", *(f"same-{k}" for k in range(2, 15))]
    drawn = {f"{folder}/{name}.png" for folder in ("masks", "overlays") for name in pictures}
    assert names == drawn | {"pictures.csv", "table.csv", "sheet.png", "result.json"}
    written = np.asarray(Image.open(tmp_path / "out" / "masks" / "same.png"))
    assert (written == mask(20, 24, place)).all()
    assert json.loads((tmp_path / "out" / "result.json").read_text())["maps"]["combined"]["jaccard"] == 100
    rows = (tmp_path / "out" / "table.csv").read_text().splitlines()
    assert rows[0] == "map,class,pictures,jaccard,pooled,area,precision,threshold,tuned"
    assert rows[1:3] == ["combined,all,14,100.0,100.0,50.0,100.0,,", "combined,dark,7,100.0,100.0,,,,"]
    assert len(rows) == 1 + 3 * len(result.maps)
    assert len((tmp_path / "out" / "pictures.csv").read_text().splitlines()) == 1 + 14 * len(result.maps)


def test_a_precision_that_is_undefined_is_left_blank(tmp_path: Path) -> None:
    write_segmentation(Brightness(20), of((picture(20, 20, (TOP, ALL)), mask(20, 20))), tmp_path / "out")
    scores = (tmp_path / "out" / "pictures.csv").read_text().splitlines()[1:]
    assert scores
    assert all(line.endswith(",0.0,") for line in scores)


@pytest.fixture
def saved(model: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    pa.save(model, tmp_path / "run")
    for k in range(4):
        for folder, pixels in (("pictures", picture(36, 40, (TOP, ALL))), ("masks", mask(36, 40, (TOP, ALL)))):
            path = tmp_path / folder / f"{k}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(pixels).save(path)
    (tmp_path / "masks" / "2.png").unlink()
    return "run"


def test_the_command(saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["segment", saved, "--data", "pictures", "--masks", "masks", "--out", "out", "--json"]
    assert run(call) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert result == {"out": "out", **json.loads(Path("out/result.json").read_text())}
    assert result["count"] == 3
    assert result["provenance"]["command"] == f"payattention {' '.join(call)}"
    assert "left out: masks/2.png: no such file" in printed.err
    assert run([*call[:-3], "--out", "again", "--limit", "1"]) == 0
    assert "written: again" in capsys.readouterr().out


def test_strict_refuses_what_would_be_left_out(saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["segment", saved, "--data", "pictures", "--masks", "masks", "--out", "out", "--strict"]
    assert run(call) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "payattention: masks/2.png: no such file"
    Path("pictures/film.mp4").write_bytes(b"\0")
    assert run(call) == 1
    assert "(and 1 more)" in capsys.readouterr().err
    assert not Path("out").exists()
    Path("pictures/film.mp4").unlink()
    Path("pictures/2.png").unlink()
    assert run(call) == 0


def test_masks_that_are_all_empty_are_told(saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["segment", saved, "--data", "pictures", "--masks", "masks", "--foreground", "7", "--out", "out"]
    assert run(call) == 0
    told = "note: the masks of all 3 pictures are empty: no pixel of theirs is 7 (--foreground)"
    assert told in capsys.readouterr().err


def test_the_command_tunes_on_the_train_split(
    saved: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("payattention.data.readers.cluttered_digits.COUNTS", {"train": 30, "test": 10})
    assert run(["segment", saved, "--data", "cluttered_digits", "--tune", "20", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["tuned_on"] == "20 pictures of cluttered_digits, train"
    assert all(found["threshold"] is not None for found in result["maps"].values())
    assert result["count"] == 10


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--data", "cifar10"], "cifar10 has no object masks"),
        (["--data", "object_discovry"], "did you mean 'object_discovery'"),
        (["--data", "oxford_pets", "--split", "tset"], "did you mean 'test'"),
        (["--data", "oxford_pets", "--masks", "masks"], "'oxford_pets' brings its own, so leave --masks out"),
        (["--data", "oxford_pets", "--foreground", "1"], "name it with --masks"),
        (["--data", "object_discovery", "--tune", "5"], "no other split with masks"),
        (["--data", "cluttered_digits", "--size", "4"], "size is 4 pixels"),
        (["--data", "cluttered_digits", "--true-class"], "only vgg_gap"),
        (["--data", "cluttered_digits", "--classes", "cat"], "unknown class of cluttered_digits 'cat'"),
        (["--data", "cluttered_digits", "--out", "pictures"], "this folder is not empty"),
    ],
)
def test_mistakes(saved: str, options: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["segment", saved, *options]) == 2
    printed = capsys.readouterr()
    assert told in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not Path("runs").exists()


def test_real_pets(real_data: Path) -> None:
    """Masks of real pictures: their pixels are object in a third of the picture or so."""
    from payattention.data.masked import masked_pictures

    try:
        data = masked_pictures("oxford_pets", "test", real_data).limited(4)
    except DataError as error:
        pytest.skip(str(error))
    result = segment(settled(pa.create_model("vgg_att2_concat_pc", 10, 0.0625)), data)
    assert result.count == 4
    assert 10 < result.maps["all ones"].jaccard < 70
