"""`compare`: the table, what it says, and what it says when it cannot."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

import payattention as pa
from payattention.cli.app import run
from payattention.data import ImageSet, limited
from payattention.data.parts import divided
from payattention.errors import DataError, UsageError
from payattention.evaluation import pointing
from payattention.evaluation.comparison.budget import Bound, in_time
from payattention.evaluation.comparison.intervals import LEAST, RESAMPLES, interval
from payattention.evaluation.comparison.questions import QUESTIONS, in_words
from payattention.evaluation.comparison.randomisation import randomisation_table
from payattention.evaluation.comparison.sources import COMBINED, GAUSSIAN, sources
from payattention.evaluation.comparison.table import Comparison, compare, further_metrics
from payattention.evaluation.comparison.verdict import Margin, margin, margins, verdict
from payattention.evaluation.metrics import FURTHER, METRICS
from payattention.figures.comparison import map_sheet
from payattention.models import Classifier, Look
from payattention.posthoc import METHODS
from settling import settled

SMALL = 0.0625
QUICK = ["activation", "grad_cam"]


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payattention.evaluation.comparison.columns.STEPS", 2)
    monkeypatch.setattr("payattention.evaluation.comparison.randomisation.PICTURES", 1)
    monkeypatch.setattr("payattention.evaluation.comparison.randomisation.DRAWS", 1)


@pytest.fixture
def attentive() -> Classifier:
    model = settled(pa.create_model("vgg_att2_concat_pc", 2, SMALL))
    model.classes = ("dark", "bright")
    return model


@pytest.fixture(scope="module")
def once() -> list[Comparison]:
    return []


@pytest.fixture
def compared(once: list[Comparison], attentive: Classifier, image_set: ImageSet) -> Comparison:
    """Made for the first test that asks for it."""
    if not once:
        once.append(compare(attentive, image_set, methods=QUICK, costly=6))
    return once[0]


def rows_of(compared: Comparison) -> list[str]:
    return [row.name for row in compared.rows]


def test_the_table_has_every_row_and_cell(compared: Comparison) -> None:
    assert rows_of(compared) == [
        *("layer10", "layer13", "combined"),
        *("activation layer10", "activation layer13", "activation combined"),
        *("Grad-CAM layer10", "Grad-CAM layer13", "Grad-CAM combined"),
        *("random", "all ones", "centred Gaussian"),
    ]
    assert (compared.count, compared.costly, compared.left_out) == (32, 6, ())
    for row in compared.rows:
        assert row.pictures == 32
        assert list(row.scores) == list(METRICS)
        assert all(0 <= score <= 100 for score in row.scores.values())
        assert row.milliseconds >= 0


def test_a_comparison_is_json_and_repeats(compared: Comparison, attentive: Classifier, image_set: ImageSet) -> None:
    again = compare(attentive, image_set, methods=QUICK, costly=6)
    assert [row.scores for row in again.rows] == [row.scores for row in compared.rows]
    json.dumps(compared.as_json(), allow_nan=False)


def test_the_second_table_says_what_follows_the_model(compared: Comparison) -> None:
    """The last layer classifies: no trained map sees it, and the strength of the features does not either."""
    rows = {row.name: row.correlations for row in compared.randomisation}
    assert list(rows) == rows_of(compared)[:-3]
    drawn = ["attention alone", "last layer", "last 25 %", "last 50 %", "last 75 %", "all"]
    assert list(rows["combined"]) == drawn
    assert list(rows["activation layer13"]) == drawn[1:]
    assert list(rows["Grad-CAM layer13"]) == [*drawn[1:], "another class"]
    assert rows["layer13"]["last layer"] == rows["activation layer13"]["last layer"] == 1
    known = {name: row for name, row in rows.items() if row["all"] is not None}  # Grad-CAM may be zero everywhere
    assert {"layer10", "layer13", "combined", "activation layer13"} <= known.keys()
    assert all(row["all"] < 0.9 for row in known.values())
    assert all(-1 <= value <= 1 for row in known.values() for value in row.values())
    assert "another class" in str(randomisation_table(compared.randomisation))


def test_further_columns_are_asked_for(attentive: Classifier, image_set: ImageSet) -> None:
    """What is known of the rows that look at nothing; and a column of few pictures has no interval."""
    found = compare(attentive, image_set.first(12), methods=["gradient"], costly=1, metrics=["all"])
    assert found.further == tuple(FURTHER)
    rows = {row.name: row for row in found.rows}
    for row in found.rows:
        assert list(row.scores) == [*METRICS, *FURTHER]
        assert all(-100 <= row.scores[name] <= 100 for name in FURTHER if name not in ("sensitivity", "faithfulness"))
        assert row.scores["sensitivity"] >= 0
        assert row.intervals["roc_auc"] is not None
        assert row.intervals["pooled_average_precision"] is row.intervals["road"] is None
    ones = rows["all ones"].scores
    assert (ones["roc_auc"], ones["rank_accuracy"], ones["gini"], ones["sensitivity"]) == (50, 6.25, 0, 0)
    assert (ones["pooled_average_precision"], ones["box_accuracy"]) == (6.25, 0)
    assert rows["random"].scores["sensitivity"] > 30
    text = str(found)
    assert all(metric.heading in text for metric in FURTHER.values())
    assert "Deletion and insertion, MaxBoxAcc, ROAD, infidelity, faithfulness, max-sensitivity: 1 of 12" in text
    assert further_metrics(["road", "gini", "road"]) == ("gini", "road")


def test_a_comparison_leaves_the_network_as_it_was(attentive: Classifier, image_set: ImageSet) -> None:
    before = {name: value.clone() for name, value in attentive.state_dict().items()}
    compare(attentive.train(), image_set.first(2), methods=["grad_cam"], costly=2)
    assert attentive.training
    for name, value in attentive.state_dict().items():
        assert torch.equal(value, before[name])


def test_known_rows(compared: Comparison, attentive: Classifier, image_set: ImageSet) -> None:
    """The object is an upper left 8x8 of 32x32, a share of 1/16; 97 pixels with the pointing game's tolerance."""
    scores = {row.name: row.scores for row in compared.rows}
    ones = scores["all ones"]
    share = pytest.approx(100 / 16, abs=0.01)
    assert (ones["energy"], ones["jaccard"], ones["average_precision"], ones["entropy"]) == (share, share, share, 100)
    assert ones["pointing"] == pytest.approx(100 * 97 / 1024, abs=0.01)
    assert scores["random"]["average_precision"] == pytest.approx(100 / 16, abs=3)
    hits = pointing(attentive, image_set).hits
    assert {name: scores[name]["pointing"] for name in ("layer10", "layer13", "combined")} == {
        name: hits[name] for name in ("layer10", "layer13", "combined")
    }


def test_grad_cam_plus_plus_on_signed_features_is_a_note(attentive: Classifier, image_set: ImageSet) -> None:
    """VGG is tapped behind its ReLUs, an attached backbone behind batch norms."""
    assert compare(attentive, image_set.first(2), methods=["grad_cam_plus_plus"], costly=2).notes == ()
    signed = settled(pa.attach("resnet10t", 2, levels=1))
    (note,) = compare(signed, image_set.first(2), methods=["grad_cam_plus_plus"], costly=2).notes
    assert "and those of layer4 are signed" in note
    assert compare(signed, image_set.first(2), methods=["grad_cam"], costly=2).notes == ()


def test_groups_of_methods_are_those_that_the_model_allows(attentive: Classifier, image_set: ImageSet) -> None:
    found, left_out = sources(attentive, ["fast"])
    fast = [source.title for source in found if source.kind == "post-hoc"]
    cannot = ("cam", "attention_rollout", "gradient_attention")
    assert fast == [method.title for name, method in METHODS.items() if not method.costly and name not in cannot]
    assert len(left_out) == 3
    assert "CAM is for networks" in left_out[2]
    every = [source.title for source in sources(attentive, ["all"])[0] if source.kind == "post-hoc"]
    assert every == [method.title for name, method in METHODS.items() if name not in cannot]
    named = [source.title for source in sources(attentive, ["rise", "fast", "rise"])[0]]
    assert named[1:-3] == ["RISE", *fast]


def test_what_takes_many_passes_stops_when_the_time_is_used(attentive: Classifier, image_set: ImageSet) -> None:
    """After the first picture, and what is left is scored as ever."""
    methods = ["occlusion", "activation"]
    bound = compare(attentive, image_set, methods=methods, costly=Bound(6, 0.0))
    pictures = {row.name: row.pictures for row in bound.rows}
    assert (pictures["occlusion"], pictures["activation layer13"], bound.costly, bound.costly_asked) == (1, 32, 1, 6)
    assert bound.margins["average_precision"]["occlusion"].pictures == 1
    assert "occlusion: 1 of 32 pictures, evenly from the classes; 6 would have taken longer than 0 min" in str(bound)
    assert map_sheet(attentive, image_set, bound).width > 0
    whole = compare(attentive, image_set, methods=["occlusion"], costly=Bound(6, 60.0))
    assert {row.name: row.pictures for row in whole.rows}["occlusion"] == whole.costly == 6
    assert "occlusion: 6 of 32 pictures, evenly from the classes (--costly)." in str(whole)


def test_batches_grow_while_there_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds a picture, by a clock that only the work moves: a minute is enough for thirty."""
    now = 0.0
    monkeypatch.setattr("payattention.evaluation.comparison.budget.time.perf_counter", lambda: now)
    taken = []
    for chosen in in_time(Bound(100, 1.0), 1000, at_once=8):
        taken.append(chosen)
        now += 2 * (chosen.stop - chosen.start)
    assert [chosen.stop for chosen in taken] == [1, 2, 4, 8, 16, 24, 30]
    assert [chosen.stop for chosen in in_time(Bound(20), 1000, at_once=8)] == [8, 16, 20]
    assert [chosen.stop for chosen in in_time(Bound(20), 3, at_once=8)] == [3]


@pytest.mark.parametrize("count", [LEAST, 57])
def test_an_interval_is_scipys(count: int) -> None:
    scores = np.random.default_rng(3).beta(4, 1, count)
    found = interval(torch.cat([torch.tensor([torch.nan]), torch.from_numpy(scores).float()]))
    oracle = stats.bootstrap(
        (scores,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert found == pytest.approx(tuple(oracle), abs=1e-6)
    spread = scores.std() / count**0.5
    assert found == pytest.approx(stats.norm.interval(0.95, scores.mean(), spread), abs=0.02)  # what it tends to


def test_an_interval_by_hand() -> None:
    """Of ten pictures two score 1, so the sum of a draw is binomial: its middle 95 % are 0 to 5."""
    scores = torch.tensor([1.0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    assert stats.binom.ppf([0.025, 0.975], 10, 0.2).tolist() == [0, 5]
    assert interval(scores) == pytest.approx((0, 0.5), abs=1e-6)
    assert interval(torch.ones(20)) == (1, 1)
    assert interval(scores[1:]) is None


def test_margins_are_paired(compared: Comparison) -> None:
    for metric, rows in compared.margins.items():
        scores = {row.name: row.scores[metric] for row in compared.rows}
        assert list(rows) == sorted(rows, key=lambda name: rows[name].points)
        assert {*rows} == {row.name for row in compared.rows if row.kind == "post-hoc"} | {GAUSSIAN}
        for name, own in rows.items():
            assert own.points == pytest.approx(scores[COMBINED] - scores[name], abs=0.02)
            assert own.low <= own.points <= own.high
            assert own.pictures == 32


def test_a_margin_by_hand() -> None:
    """On pictures of very different difficulty one map lies 10 points above the other, picture by picture."""
    own, nan = torch.linspace(0.1, 0.9, 12), float("nan")
    assert margin(own, own - 0.1) == Margin(10.0, 10.0, 10.0, 12)
    assert margin(own, own + 0.1).standing == "below"
    assert margin(own, own + 0.1 * torch.tensor([-1.0, 1] * 6)).standing == "not told from"
    few = margin(torch.tensor([0.5, 0.7, nan, 0.9]), torch.tensor([0.4, 0.4, nan]))
    assert few == Margin(20.0, None, None, 2)
    assert few.standing == "too few"
    assert margin(torch.tensor([nan]), torch.tensor([0.5])) is None


def test_the_verdict_rests_on_intervals() -> None:
    scores = {COMBINED: torch.ones(10), "weak": torch.zeros(9), GAUSSIAN: torch.zeros(10), "random": torch.zeros(10)}
    kinds = {COMBINED: "trained", "weak": "post-hoc", GAUSSIAN: "trivial", "random": "trivial"}
    above = margins(scores, kinds)
    assert above == {"weak": Margin(100.0, None, None, 9), GAUSSIAN: Margin(100.0, 100.0, 100.0, 10)}
    assert verdict({"average_precision": above}, {"average_precision": 100.0}) == (
        "In pixel AP the trained combined map (100.0 %) beats 1 of 2 others. "
        "The pictures are too few to tell it from weak (+100.0 points, 9 pictures)."
    )
    assert verdict({"pointing": {"weak": Margin(20.0, 10.0, 30.5, 12)}}, {"pointing": 70.0}) == (
        "In pointing the trained combined map (70.0 %) beats every other; "
        "the nearest is weak: +20.0 points, +10.0 to +30.5, 12 pictures."
    )
    mixed = {f"row {k}": Margin(-k, -k - 1.0, -k + 1.0, 12) for k in (5, 4, 3, 2, 1)}
    assert verdict({"pointing": mixed}, {"pointing": 70.0}) == (
        "In pointing the trained combined map (70.0 %) beats 0 of 5 others. It lies below "
        "row 5 (-5.0 points, -6.0 to -4.0, 12 pictures), row 4 (-4.0 points, -5.0 to -3.0, 12 pictures), "
        "row 3 (-3.0 points, -4.0 to -2.0, 12 pictures) and 1 more. "
        "It is not told from row 1 (-1.0 points, -2.0 to +0.0, 12 pictures)."
    )
    assert verdict({}, {}).startswith("No trained map was measured")
    assert verdict({"pointing": {GAUSSIAN: Margin(1, 1, 1, 12)}}, {"pointing": 1.0}) == "No post-hoc map was measured."


def test_each_question_has_its_best_map(compared: Comparison) -> None:
    where, depends = in_words(compared.answers)
    assert where in str(compared)
    assert f"Where is the object? By pixel AP: {compared.answers[0].best}" in where
    assert "By deletion: too few pictures (6) to tell; by insertion: too few" in depends
    rows = {row.name: row for row in compared.rows}
    asked = [(question.words, metric) for question in QUESTIONS for metric in question.metrics if metric in METRICS]
    assert [(answer.question, answer.metric) for answer in compared.answers] == asked
    for answer in compared.answers:
        pick = min if METRICS[answer.metric].better == "lower" else max
        assert rows[answer.best].scores[answer.metric] == pick(row.scores[answer.metric] for row in compared.rows)
        assert answer.pictures == (6 if answer.metric in ("deletion", "insertion") else 32)
        others = {*answer.as_good, *answer.unknown, *answer.better}
        assert answer.best not in others
        assert others <= {*rows}
        assert bool(answer.unknown) == (answer.pictures < LEAST)


def test_a_costly_method_sees_fewer_pictures(attentive: Classifier, image_set: ImageSet) -> None:
    pytest.importorskip("captum")
    result = compare(attentive, image_set.first(8), methods=["grad_cam", "integrated_gradients"], costly=4)
    pictures = {row.name: row.pictures for row in result.rows}
    assert pictures["integrated gradients"] == 4
    assert pictures["Grad-CAM layer13"] == 8
    assert result.margins["average_precision"]["integrated gradients"].pictures == 4


@pytest.mark.parametrize(
    ("name", "own"), [("vgg", []), ("vgg_gap", ["CAM"]), ("vgg_pan", ["layer10", "layer13", "combined"])]
)
def test_other_networks(name: str, own: list[str], image_set: ImageSet) -> None:
    methods = ["cam"] if own == ["CAM"] else ["activation"]
    result = compare(settled(pa.create_model(name, 2, SMALL)), image_set.first(4), methods=methods, costly=2)
    assert [row for row in rows_of(result) if not row.startswith("activation")] == [
        *own,
        *("random", "all ones", "centred Gaussian"),
    ]
    assert all(bool(rows) == (name == "vgg_pan") for rows in result.margins.values())


def test_an_impossible_method_is_left_out_unless_it_was_asked_for(attentive: Classifier, image_set: ImageSet) -> None:
    few = image_set.first(2)
    with pytest.raises(UsageError, match="CAM is for networks that classify the mean"):
        compare(attentive, few, methods=["cam"])
    with pytest.raises(UsageError, match="unknown post-hoc method 'grad_can'; did you mean 'grad_cam'"):
        compare(attentive, few, methods=["grad_can"])


class Broken(Classifier):
    """Maps of NaN at one level."""

    levels = ("layer",)

    def look(self, images: torch.Tensor, query: torch.Tensor | None) -> Look:
        maps = torch.rand(len(images), 4, 4)
        maps[0] = torch.nan
        return Look(torch.zeros(len(images), 2), {"layer": maps})


def test_maps_of_nan_are_told_and_the_rest_goes_on(image_set: ImageSet) -> None:
    result = compare(Broken(), image_set.first(4), methods=[])
    assert rows_of(result) == ["random", "all ones", "centred Gaussian"]
    assert result.left_out[0].startswith("trained attention: 1 of 4 maps hold NaN or infinite values")
    assert "No trained map was measured" in result.verdict


def test_pictures_without_an_object_are_counted(attentive: Classifier, image_set: ImageSet) -> None:
    masks = image_set.masks.copy()
    masks[:10] = False
    result = compare(attentive, replace(image_set, masks=masks), methods=["activation"], costly=4)
    assert result.without_object == 10
    assert result.margins["average_precision"]["activation layer13"].pictures == 22
    ones = next(row for row in result.rows if row.name == "all ones").scores
    assert ones["average_precision"] == pytest.approx(100 / 16, abs=0.01)
    assert ones["jaccard"] == pytest.approx(100 / 16 * 22 / 32, abs=0.01)


def test_a_set_that_cannot_measure_maps(attentive: Classifier, image_set: ImageSet) -> None:
    with pytest.raises(UsageError, match="noise has no object masks"):
        compare(attentive, replace(image_set, masks=None))
    with pytest.raises(DataError, match="the masks of all 32 pictures of the train split are empty"):
        compare(attentive, replace(image_set, masks=np.zeros_like(image_set.masks)))


def test_the_sheet_shows_the_best_of_each_method(
    compared: Comparison, attentive: Classifier, image_set: ImageSet
) -> None:
    sheet = map_sheet(attentive, image_set, compared, pictures=2)
    columns = 2 + 3 + 2 + 3  # picture and object, trained, one each of two methods, trivial
    assert sheet.width == 8 + columns * (136 + 8)


def test_a_set_is_divided_evenly_and_whole(image_set: ImageSet) -> None:
    few, rest = divided(image_set, 6)
    assert np.array_equal(few.images, limited(image_set, 6).images)
    assert (few.class_counts == 3).all()
    both = np.concatenate([few.images, rest.images]).reshape(32, -1)
    assert len(np.unique(both, axis=0)) == 32
    assert len(divided(image_set, 32)) == 1


@pytest.fixture
def folder(tmp_path: Path, image_set: ImageSet) -> Path:
    """`folder:` data with masks: ten pictures of each class."""
    for k in range(20):
        for root, pixels in ((tmp_path / "data", image_set.images[k]), (tmp_path / "data/masks", image_set.masks[k])):
            place = root / image_set.classes[image_set.labels[k]] / f"{k}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(place)
    return tmp_path / "data"


def test_the_verb(attentive: Classifier, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved, out = pa.save(attentive, tmp_path / "run"), tmp_path / "out"
    command = [
        "compare",
        str(saved),
        "--data",
        f"folder:{folder}",
        "--costly",
        "2",
        "--methods",
        "activation, grad_cam",
    ]
    assert run([*command, "--out", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    written = json.loads((out / "compare.json").read_text())
    assert printed == {"out": str(out), **written}
    assert written["count"] == 4
    assert written["rows"][2]["name"] == "combined"
    with Image.open(out / "compare.png") as sheet:
        assert sheet.width > 500
    page = tmp_path / "page.html"
    assert run([*command, "--out", str(tmp_path / "again"), "--report", str(page)]) == 0
    assert "Where is the object?" in page.read_text(encoding="utf-8")
    text = capsys.readouterr().out
    assert "Grad-CAM layer13" in text
    assert "pixel AP ↑" in text
    assert written["verdict"] in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "cifar10"], "cifar10 has no object masks; these have: cluttered_digits"),
        (["--data", "cluttered_digit"], "did you mean 'cluttered_digits'"),
        (["--data", "cluttered_digits", "--methods", "gradcam"], "did you mean 'grad_cam'"),
        (["--data", "cluttered_digits", "--baseline", "blakc"], "did you mean 'black'"),
        (
            ["--data", "cluttered_digits", "--metrics", "gini, raod"],
            "unknown further metric 'raod'; did you mean 'road'",
        ),
        (["--data", "cluttered_digits", "--costly", "1"], "'--costly'"),
        (
            ["--data", "cluttered_digits", "--report", "page.txt"],
            "--report page.txt: give it a name that ends in",
        ),
    ],
)
def test_a_wrong_call_fails_before_any_data_is_read(
    arguments: list[str], message: str, attentive: Classifier, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = pa.save(attentive, tmp_path / "run")
    assert run(["compare", str(saved), *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "reading" not in captured.err
    assert captured.out == ""


def test_every_method_of_the_help_exists(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", "--help"]) == 0
    text = "".join(capsys.readouterr().out.split())
    assert all(name in text for name in (*METHODS, *FURTHER))


def test_the_page_explains_every_row_and_column() -> None:
    text = (Path(__file__).parents[2] / "docs" / "maps.md").read_text(encoding="utf-8")
    for metric in (*METRICS.values(), *FURTHER.values()):
        assert f"| {metric.title} | {metric.better or 'neither'} |" in text
        assert f"{metric.source} |" in text
    assert all(f"| {method.title} |" in text for method in METHODS.values())
