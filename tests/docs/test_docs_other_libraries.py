"""The page beside other libraries: every name in its table of methods is there, in ours and in theirs."""

import re
from importlib.util import find_spec
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


@pytest.mark.parametrize(("column", "package"), [(2, "torchcam"), (3, "pytorch_grad_cam"), (4, "captum")])
def test_theirs_are_there(column: int, package: str) -> None:
    """As classes of their source: to import all three takes seconds."""
    (folder,) = find_spec(package).submodule_search_locations  # type: ignore[union-attr]
    source = "\n".join(file.read_text(encoding="utf-8") for file in Path(folder).rglob("*.py"))
    assert len(named(column)) > 3
    for name in named(column):
        assert re.search(rf"^class {name}\b", source, re.MULTILINE), name
