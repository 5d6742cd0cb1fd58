"""The page of a comparison: what it says, and that it needs nothing else."""

import base64
import hashlib
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import payattention as pa
from payattention.data import ImageSet
from payattention.errors import UsageError
from payattention.evaluation.comparison.questions import QUESTIONS
from payattention.evaluation.comparison.randomisation import Randomised
from payattention.evaluation.comparison.sources import GAUSSIAN
from payattention.evaluation.comparison.table import Comparison, compare
from payattention.evaluation.comparison.verdict import Margin
from payattention.figures.comparison import write_page
from payattention.figures.comparison.page import bars, findings, followed
from payattention.models import Classifier
from settling import settled


@pytest.fixture(scope="module")
def model() -> Classifier:
    torch.manual_seed(0)
    model = settled(pa.create_model("vgg_att2_concat_pc", 2, 0.0625))
    model.classes = ("dark", "<b>right</b>")
    return model


@pytest.fixture(scope="module")
def data() -> ImageSet:
    labels = np.arange(14) % 2
    noise = np.random.default_rng(0).integers(0, 128, (14, 32, 32, 3)) + 127 * labels[:, None, None, None]
    masks = np.zeros((14, 32, 32), np.bool_)
    masks[:, :8, :8] = True
    return ImageSet("noise", "train", noise.astype(np.uint8), labels, ("dark", "<b>right</b>"), masks)


@pytest.fixture(scope="module")
def compared(model: Classifier, data: ImageSet) -> Comparison:
    """Deletion and insertion on too few pictures to tell anything, and a column that was asked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("payattention.evaluation.comparison.columns.STEPS", 2)
        patch.setattr("payattention.evaluation.comparison.randomisation.PICTURES", 1)
        patch.setattr("payattention.evaluation.comparison.randomisation.DRAWS", 1)
        return compare(model, data, methods=["activation"], costly=4, metrics=["road", "gini", "roc_auc"])


def test_the_page_answers_with_evidence_and_loads_nothing(
    model: Classifier, data: ImageSet, compared: Comparison, tmp_path: Path
) -> None:
    page = write_page(tmp_path / "page.html", model, data, compared).read_text(encoding="utf-8")
    text = " ".join(unescape(page).split())
    assert all(question.words in text and question.limits in text for question in QUESTIONS)
    assert f"<strong>{compared.answers[0].best}</strong> <span>pixel AP" in text
    assert text.count("Too few pictures to tell<span>") == 3  # deletion, insertion, ROAD
    assert "Gini" in text
    assert all(f'<th scope="row">{row.name}</th>' in text and row.cell("energy") in text for row in compared.rows)
    assert all(row.cell("roc_auc") in text for row in compared.rows)
    assert compared.verdict in text
    assert all(one.asks in text and one.least in text for one in followed(compared.randomisation))
    assert "seen as &lt;b&gt;right" in page or "&lt;b&gt;right&lt;/b&gt;, seen as" in page
    assert "<b>" not in page
    assert page.count("data:image/webp") >= 4 * 3
    assert not re.search(r'(src|href)="(?!data:)', page)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    assert f"style-src 'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in unescape(page)


def test_the_markdown_page_has_its_sheet_beside_it(
    model: Classifier, data: ImageSet, compared: Comparison, tmp_path: Path
) -> None:
    text = write_page(tmp_path / "page.md", model, data, compared).read_text(encoding="utf-8")
    assert "](page.png)" in text
    with Image.open(tmp_path / "page.png") as sheet:
        assert sheet.width > 500
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(compared.rows)
    assert " entropy | ROC AUC ↑ | Gini | ROAD ↑ | ms a picture |" in table[0]
    assert {line.count("|") for line in table} == {table[0].count("|")}
    best = compared.answers[0]
    row = next(row for row in compared.rows if row.name == best.best)
    assert f"| **{row.cell(best.metric)}** |" in text
    with pytest.raises(UsageError, match=r"page\.md: this file is there already"):
        write_page(tmp_path / "page.md", model, data, compared)
    (tmp_path / "page.md").unlink()
    with pytest.raises(UsageError, match=r"page\.png: this file is there already"):
        write_page(tmp_path / "page.md", model, data, compared)
    with pytest.raises(UsageError, match=r"page\.txt: give it a name that ends in \.html or \.htm or \.md"):
        write_page(tmp_path / "page.txt", model, data, compared)


def test_a_best_map_that_looks_at_nothing_is_no_answer(compared: Comparison) -> None:
    best, *_ = compared.answers
    blind = replace(best, best=GAUSSIAN, as_good=("activation layer13",))
    near = replace(best, best="combined", as_good=("random", "activation layer13"))
    (found,) = findings(replace(compared, answers=(blind,)), QUESTIONS[0])
    assert found.others == ["It looks at nothing, and no other map here is better: none answers the question."]
    (found,) = findings(replace(compared, answers=(near,)), QUESTIONS[0])
    assert found.others == ["It is not told from what looks at nothing: random", "Not told from it: activation layer13"]


def test_what_stays_of_a_map_is_told_from_the_least_to_the_most() -> None:
    rows = [Randomised(f"map {k}", "post-hoc", 12, {"all": 0.9 - k / 10, "attention alone": None}) for k in range(7)]
    (found,) = followed([*rows, Randomised("against", "post-hoc", 12, {"all": -0.05})])
    assert found.least == "against 0.05, map 6 0.30, map 5 0.40, map 4 0.50, map 3 0.60"
    assert found.most == "map 2 0.70, map 1 0.80, map 0 0.90"
    assert followed([]) == []


def test_bars_share_a_scale() -> None:
    drawn = bars({"near": Margin(-5.0, -10.0, 2.5, 12), "far": Margin(20.0, None, None, 3)})
    assert [(bar.low, bar.middle, bar.high) for bar in drawn] == [(-50.0, -25.0, 12.5), (100.0, 100.0, 100.0)]
    assert bars({"same": Margin(0.0, 0.0, 0.0, 12)})[0].high == 0
