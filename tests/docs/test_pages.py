"""Every page: its name, its links, its numbers, and the commands of scripts that it names."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@every_page
def test_its_links_and_pictures_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(((?!http)[^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_names_are_in_one_style() -> None:
    for page in ROOT.glob("docs/*.md"):
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", page.stem), page.name


def test_the_numbers_are_those_of_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "tools" / "pages"), *sys.path])
    from fill import PAGES, filled

    assert ROOT / "README.md" in PAGES
    for page in PAGES:
        assert filled(page) == page.read_text(encoding="utf-8"), page
