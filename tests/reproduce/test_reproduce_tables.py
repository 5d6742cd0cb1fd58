"""The published tables: what the paper's text says of their numbers, and that each cell can be asked for here."""

from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import typer.main

from payattention.cli.app import app
from payattention.data import CATALOGUE
from payattention.errors import UsageError
from payattention.models import check_model, list_models
from payattention.reproduce import all_cells, chosen_cells, load_tables
from payattention.reproduce.jobs import Departures, Training, command, job_of
from payattention.reproduce.queue import operations
from payattention.reproduce.tables import table_of
from payattention.training.presets import list_recipes

CELLS = all_cells()
RUNNABLE = {name: cell for name, cell in CELLS.items() if cell.runnable}
VERBS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def published(cell: str) -> float:
    found = CELLS[cell].published
    assert found is not None
    return found.value


@pytest.mark.parametrize(
    ("better", "worse", "points"),
    [  # what the text says of two numbers, to the digits that it gives (5.1, 5.2, 5.4)
        ("table1/vgg_att2_concat_pc/cifar10", "table1/vgg/cifar10", 2.5),
        ("table1/vgg_att2_concat_pc/cifar100", "table1/vgg/cifar100", 7.4),
        ("table2/vgg_att2_concat_pc/cub200", "table2/vgg/cub200", 7.8),
        ("table2/vgg_att2_concat_pc/svhn", "table2/vgg/svhn", 0.5),
        ("table2/vgg_att3_concat_pc/cub200", "table2/vgg_pan/cub200", 4.5),
        ("figure6/vgg_att2_concat_pc/eps1", "figure6/vgg/eps1", 4.8),
        ("figure6/vgg/eps16", "figure6/vgg_att2_concat_pc/eps16", 1.1),
        ("table9/vgg_gap/horse_c10", "table9/vgg_att3_concat_pc/horse_c10", 11.4),
        ("table9_quoted/mcg/horse", "table9/vgg_att3_concat_pc/horse_c10", 3.1),
    ],
)
def test_the_numbers_are_those_that_the_text_speaks_of(better: str, worse: str, points: float) -> None:
    assert round(published(worse) - published(better), 1) == points


def test_the_margins_of_the_text_are_the_smallest_of_three_categories() -> None:
    """By 11 % over the attention-based methods and 3 % over the best object proposals, at least (5.4)."""
    for rival, margin in (("table9/vgg_gap/{}_c10", 11), ("table9/vgg_pan/{}_c10", 11), ("table9_quoted/mcg/{}", 3)):
        gains = [
            published(f"table9/vgg_att3_concat_pc/{kind}_c10") - published(rival.format(kind))
            for kind in ("airplane", "car", "horse")
        ]
        assert min(gains) >= margin


def test_the_replications_quote_the_paper_but_for_one_slip() -> None:
    for cell in CELLS.values():
        if cell.row.name.startswith("quoted_") and cell.published:
            original = CELLS[f"{cell.column.beside.split('/')[0]}/{cell.row.name[7:]}/{cell.column.name}"]  # type: ignore[union-attr]
            slip = cell.id == "keras/quoted_vgg_att2_concat_pc/cifar100"
            assert (cell.published.value == original.published.value) != slip  # type: ignore[union-attr]


def test_published_numbers_are_shares_in_per_cent() -> None:
    for number in filter(None, (cell.published for cell in CELLS.values())):
        assert 0 < number.value < 100
        assert number.deviation is None or 0 < number.deviation < 1
        assert number.mark in ("", "*", "?")


def test_each_table_has_the_numbers_that_the_paper_prints() -> None:
    counts = {name: sum(cell.published is not None for cell in t.cells()) for name, t in load_tables().items()}
    assert counts == {
        "table1": 11 * 2, "table2": 6 * 2 - 1, "figure6": 5 * 2, "table3": 7 * 12, "table9": 5 * 6 - 3,
        "table9_quoted": 7 * 3, "authors": 11, "keras": 8, "pytorch": 2, "cluttered_digits": 0,
    }  # fmt: skip


@pytest.mark.parametrize("table", load_tables().values(), ids=lambda table: table.name)
def test_a_table_says_where_it_stands_and_what_it_measures(table) -> None:  # type: ignore[no-untyped-def]
    assert table.title
    assert table.source
    assert table.unit
    assert table.better in ("lower", "higher")
    for row in table.rows.values():
        assert set(row.published) <= set(table.columns)
        assert row.model is None or row.model in list_models()


def test_replicated_cells_exist() -> None:
    for cell in CELLS.values():
        if cell.replicated and not cell.row.name.startswith("quoted_"):
            assert cell.replicated in CELLS, cell.id


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_runnable_cell_has_a_command_that_the_program_takes(name: str) -> None:
    """Its words are parsed as by the program; nothing is run."""
    cell = RUNNABLE[name]
    job = job_of(cell, seed=1)
    verb, *words = command(job, Path("runs"))
    if verb not in VERBS:
        pytest.skip(f"this version has no verb {verb}")
    VERBS[verb].make_context(verb, words)
    trained = job if isinstance(job, Training) else job.of
    assert trained.recipe in list_recipes()
    assert trained.data in CATALOGUE
    assert job.data in CATALOGUE
    assert cell.column.value
    check_model(trained.model, trained.width, **dict(trained.options))


TABLE = """
title = "Mine"
source = "ours"
unit = "%"
better = "lower"
[columns.error]
title = "error"
verb = "train"
data = "cifar10"
value = ["test", "error"]
[[rows]]
name = "vgg"
title = "VGG"
error = [7.77, 0.08]
"""


@pytest.mark.parametrize(
    ("text", "wrong", "message"),
    [
        ('better = "lower"', 'better = "low"', "unknown better 'low'; did you mean 'lower'?"),
        ('verb = "train"', 'verb = "trian"', "column error: unknown verb 'trian'; did you mean 'train' or 'transfer'?"),
        ('verb = "train"', 'verb = "segment"', "column error: a column that measures says of which column's networks"),
        (
            'verb = "train"',
            'verb = "train"\nbeside = "table1"',
            "column error: beside is 'table1': it takes TABLE/COLUMN",
        ),
        ("[7.77, 0.08]", "[777]", "row vgg: error: value is 777: it lies between 0 and 100"),
        ("[7.77, 0.08]", '[7.77, "+"]', "row vgg: error: deviation is '+': a number is needed"),
        ("[7.77, 0.08]", '[7.77, "-", "*", 3]', "row vgg: error: 3 is one too many: there are value, deviation, mark"),
        ("[7.77, 0.08]", "7.77", "row vgg: error: a list is needed, as [7.77]"),
        ("error = [7.77, 0.08]", 'columns = ["eror"]', "row vgg: unknown column 'eror'; did you mean 'error'?"),
        ("error = [7.77, 0.08]", 'modle = "vgg"', "row vgg: unknown row field 'modle'; did you mean 'model'?"),
        ('title = "VGG"', "", "row vgg: title is missing"),
    ],
)
def test_a_mistake_in_a_table_is_named(text: str, wrong: str, message: str) -> None:
    assert table_of("mine", TABLE).rows["vgg"].published["error"].deviation == 0.08
    assert TABLE.count(text) == 1
    with pytest.raises(UsageError) as error:
        table_of("mine", TABLE.replace(text, wrong))
    assert str(error.value).startswith(f"tables/mine.toml: {message}")


def test_equal_settings_are_one_job_and_others_are_not() -> None:
    names: dict[str, object] = {}
    for cell in RUNNABLE.values():
        for seed in range(3):
            job = job_of(cell, seed)
            assert names.setdefault(job.name, job) == job
    assert len({job_of(RUNNABLE[f"figure6/vgg/eps{eps}"], 0) for eps in (1, 2, 4, 8, 16)}) == 1
    assert job_of(CELLS["table1/vgg/cifar10"], 0) != job_of(CELLS["table1/vgg/cifar10"], 1)


@pytest.mark.float32
def test_departures_change_the_job_and_its_name() -> None:
    cell = RUNNABLE["table3/vgg/caltech101_c10"]
    departures = Departures(width=0.25, epochs=13, recipe="modern", data={"cifar10": "parquet:copies/cifar10"})
    words = command(job_of(cell, 2, departures), Path("runs"))
    assert words[1] == "runs/vgg-cifar10-as.parquet_copies_cifar10-modern-width0.25-epochs13-seed2"
    trained = command(job_of(cell.in_column("table1/cifar10"), 2, departures), Path("runs"))
    assert " ".join(trained) == (
        "train --model vgg --data parquet:copies/cifar10 --recipe modern --width 0.25 --epochs 13 --seed 2 "
        f"--out {words[1]} --json"
    )


def test_the_cost_is_that_of_the_networks_layers() -> None:
    """313,463,808 multiply-adds of the baseline (method of the authors' layers), two operations each, thrice a step."""
    job = job_of(CELLS["table1/vgg/cifar10"], 0)
    assert operations(job) == 3 * 50_000 * 300 * 2 * 313_463_808


def test_globs_choose_cells() -> None:
    found = chosen_cells([], ["table1/vgg_att*/cifar10"])
    assert {cell.id for cell in found} == {name for name in RUNNABLE if fnmatchcase(name, "table1/vgg_att*/cifar10")}
    assert len(found) == 7


def test_a_control_stands_in_each_table_that_compares_attention_with_vgg() -> None:
    for name in ("table1", "table2", "figure6", "table3", "cluttered_digits"):
        controls = {row.model for row in load_tables()[name].rows.values() if row.control}
        assert "vgg_latepool" in controls, name
