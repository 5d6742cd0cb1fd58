"""The page beside other libraries: every name in its table of methods is there, in ours and in theirs."""

import importlib
import re
from pathlib import Path

import pytest

from payattention.posthoc import METHODS

TEXT = (Path(__file__).parents[2] / "docs" / "other-libraries.md").read_text(encoding="utf-8")
TABLE = TEXT.partition("## The methods by their names")[2].partition("\n## ")[0]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines() if line.startswith("| ")]


def named(column: int) -> list[str]:
    return [name for row in ROWS[2:] for name in re.findall(r"`(\w+)`", row[column])]


def test_it_has_all_of_ours() -> None:
    assert sorted(named(1)) == sorted(METHODS)


@pytest.mark.parametrize(("column", "module"), [(2, "torchcam.methods"), (3, "pytorch_grad_cam"), (4, "captum.attr")])
def test_theirs_are_there(column: int, module: str) -> None:
    assert len(named(column)) > 3
    for name in named(column):
        assert hasattr(importlib.import_module(module), name), name
