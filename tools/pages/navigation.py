"""docs/index.md as data: its headings are the site's sections, its list items the pages, in the order to be read."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "docs" / "index.md"
_ITEM = re.compile(
    r"^- \[(?P<title>[^\]]+)\]\((?P<link>[^)]+)\): (?P<note>.+?)(?=^- |^#|\n\n|\Z)", re.MULTILINE | re.DOTALL
)


class Page(NamedTuple):
    """A page by its file in the repository, its title in the navigation and what it is about."""

    file: Path
    title: str
    note: str


class Section(NamedTuple):
    """Pages that belong together."""

    title: str
    pages: list[Page]


def sections() -> list[Section]:
    _, *parts = re.split(r"^## ", INDEX.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [Section(part.partition("\n")[0], [_page(*found) for found in _ITEM.findall(part)]) for part in parts]


def summary() -> str:
    """What the project is, in a paragraph."""
    return " ".join(INDEX.read_text(encoding="utf-8").split("\n\n")[1].split())


def _page(title: str, link: str, note: str) -> Page:
    return Page((INDEX.parent / link).resolve(), title, " ".join(note.split()))
