"""The tables at small scale: their order and their claims, by other libraries and by hand."""

import json
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from test_reproduce_report import plant

from payattention.cli.app import run
from payattention.reproduce import SCALES, all_cells, load_tables, write_report
from payattention.reproduce.scale import LEAST, Measured, order, verdict
from payattention.reproduce.tables import Claim

SMALL = SCALES["small"]


@pytest.mark.parametrize("ties", [False, True])
def test_the_order_is_spearmans_correlation(ties: bool) -> None:
    random = np.random.default_rng(0)
    ours, published = random.random(11), random.random(11)
    if ties:
        ours = ours.round(1)
    found = order(list(ours), list(published))
    assert found is not None
    assert found.correlation == pytest.approx(spearmanr(ours, published).statistic)
    assert -1 <= found.low <= found.correlation <= found.high <= 1


def test_the_same_order_is_1_and_the_reverse_minus_1_and_few_networks_have_none() -> None:
    numbers = [float(number) for number in range(LEAST)]
    assert order(numbers, numbers) == pytest.approx((LEAST, 1, 1, 1))
    assert order(numbers, numbers[::-1]) == pytest.approx((LEAST, -1, -1, -1))
    assert order(numbers[1:], numbers[1:]) is None


def test_a_claim_is_weighed_over_its_measured_pairs_by_hand() -> None:
    claim = Claim("a and b are better than c", (("a", "c"), ("b", "c"), ("d", "c")))
    measured = {"a": Measured(20.0, 10_000), "b": Measured(22.0, 10_000), "c": Measured(25.0, 10_000, 0.3, 3)}
    found = verdict(claim, measured)
    assert found is not None
    assert (found.pairs, found.of) == (2, 3)
    assert found.points == pytest.approx((5 + 3) / 2)
    # a and b with half a share each, c with a whole one
    variance = 0.25 * 20 * 80 / 10_000 + 0.25 * 22 * 78 / 10_000 + 25 * 75 / 10_000 + 0.3**2 / 3
    assert found.margin == pytest.approx(1.96 * sqrt(variance))
    assert found.word == "holds"


@pytest.mark.parametrize(
    ("a", "b", "word"), [(20, 25, "holds"), (25, 20, "does not hold"), (20, 20.5, "cannot be told")]
)
def test_a_verdict_needs_more_than_its_margin(a: float, b: float, word: str) -> None:
    found = verdict(Claim("a is better", (("a", "b"),)), {"a": Measured(a, 10_000), "b": Measured(b, 10_000)})
    assert found is not None
    assert found.word == word
    assert verdict(Claim("a is better", (("a", "b"),)), {"a": Measured(a, 10_000)}) is None


def test_results_at_small_scale_stand_in_their_own_table_alone(tmp_path: Path) -> None:
    table = load_tables()["table1"]
    rows = [row for row in table.rows.values() if row.model and row.name != "vgg_pan"]
    for rank, row in enumerate(rows):
        plant(tmp_path, f"table1/{row.name}/cifar10", 0, 20.0 + rank, SMALL)
    plant(tmp_path, "table1/vgg/cifar10", 0, 7.5)
    write_report(tmp_path, tmp_path)
    faithful, small = (tmp_path / "results.md").read_text().split("### At small scale")[:2]
    assert "| 7.50 | none |" in faithful
    assert "small-width0.125" not in faithful
    assert "| VGG | 7.77 (0.08) | 20.00 | none |" in small
    assert "| VGG-PAN | 6.29 (0.03) | - | not run: not yet | |" in small
    assert f"Rank correlation (Spearman's) of {sum(1 for row in rows if row.published)} networks" in small
    assert "| concat is better than indep | 2 of 2 | -1.00 ± " in small  # by a rank in each pair


def test_the_scale_sets_what_is_trained_and_says_what_it_excludes(capsys: pytest.CaptureFixture[str]) -> None:
    cell = "table1/vgg_att2_concat_pc/cifar10"
    where = ("--data-map", "cifar10=parquet:somewhere", "--seeds", "0", "--dry-run", "--json")
    assert run(["reproduce", "--scale", "small", "--cell", cell, *where]) == 0
    (job,) = json.loads(capsys.readouterr().out)["queue"]
    assert f"--recipe {SMALL.recipe} --width {SMALL.width}" in job["command"]
    assert "--data parquet:somewhere" in job["command"]
    assert run(["reproduce", "--scale", "small", "--cell", cell, "--epochs", "3"]) == 2
    assert "leave out --epochs" in capsys.readouterr().err
    assert run(["reproduce", "--scale", "smal", "--cell", cell]) == 2
    assert "did you mean 'small'" in capsys.readouterr().err


def test_every_claim_speaks_of_networks_that_are_run() -> None:
    runnable = {cell.row.name for cell in all_cells().values() if cell.runnable}
    for table in load_tables().values():
        assert {row for claim in table.claims for pair in claim.pairs for row in pair} <= runnable
