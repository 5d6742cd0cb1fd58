"""The site: every page, verb, option and public name has its place in it, and nothing is loaded from elsewhere."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from blocks import ROOT

import payattention as pa
from payattention.cli.app import app
from payattention.errors import PayAttentionError


@pytest.fixture(scope="module")
def site() -> Iterator[ModuleType]:
    """The script, with what lies beside it for as long."""
    before = dict(sys.modules)
    sys.path.insert(0, str(ROOT / "tools" / "pages"))
    import site_of_docs

    yield site_of_docs
    sys.path.remove(str(ROOT / "tools" / "pages"))
    for name in set(sys.modules) - set(before):
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(ROOT / "tools" / "pages")):
            del sys.modules[name]


@pytest.fixture(scope="module")
def staged(site: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("site") / "pages"
    site.stage(place)
    return place


def test_every_page_has_one_place(site: Any) -> None:
    listed = [page.file for section in site.sections() for page in section.pages]
    assert len(listed) == len(set(listed))
    assert set(listed) >= {*(ROOT / "docs").glob("*.md")} - {ROOT / "docs" / "index.md"}
    assert all(page.note.endswith(".") for section in site.sections() for page in section.pages)


def test_links_stay_in_the_site(staged: Path) -> None:
    pages = [*staged.glob("*.md")]
    assert len(pages) > 30
    for page in pages:
        for target in re.findall(r"\]\(((?!\w+:)[^)#\s]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).resolve().is_relative_to(staged)
            assert (page.parent / target).is_file(), f"{page.name}: {target}"


def test_a_link_that_leads_nowhere_is_an_error(site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "ROOT", tmp_path)
    (tmp_path / "page.md").write_text("[there](nowhere.md)", encoding="utf-8")
    with pytest.raises(PayAttentionError, match=r"page.md: nowhere.md is not there"):
        site.relinked(tmp_path / "page.md", tmp_path / "pages")


def test_the_command_line_is_all_there(staged: Path) -> None:
    text = (staged / "command-line.md").read_text(encoding="utf-8")
    for name, verb in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        part = text.partition(f"## `{name}`\n")[2].partition("\n## ")[0]
        assert f"payattention {name} " in text.partition("## Every option")[0], f"{name}: no example"
        for parameter in verb.params:
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                assert re.search(rf"{re.escape(option)}\b", part), f"{name} {option}"


def test_every_public_name_is_documented(site: Any, staged: Path) -> None:
    text = (staged / "python" / "payattention.md").read_text(encoding="utf-8")
    for name in pa.__all__:
        assert name.startswith("__") or f"heading: pa.{name}\n" in text
    for module in site.reference.MODULES:
        assert f"::: {module}\n" in (staged / "python" / f"{module}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://elsewhere.org/a.js"></script>',
        "<script defer src='//elsewhere.org/a.js'></script>",
        '<link rel="stylesheet" href="https://fonts.elsewhere.org/css">',
        '<link href="https://fonts.elsewhere.org" rel="preconnect">',
        "<img src=https://elsewhere.org/a.png>",
        '@import "https://elsewhere.org/a.css";',
        "@font-face { src: url(//elsewhere.org/a.woff2) }",
    ],
)
def test_what_a_browser_would_load_is_found(site: Any, text: str) -> None:
    assert "elsewhere.org" in site.remote(f"<p>before</p>{text}")


def test_what_a_reader_may_follow_is_left(site: Any) -> None:
    text = '<a href="https://arxiv.org/abs/1804.02391">paper</a><link rel="canonical" href="https://arxiv.org">'
    assert (
        site.remote(text + '<img src="maps.png"><style>a { background: url(data:image/png;base64,) }</style>') is None
    )


def test_language_models_get_a_list_of_all_pages(site: Any, staged: Path) -> None:
    title, blank, quote, *lines = site.for_language_models().splitlines()
    assert (title, blank, quote[:2]) == ("# payattention", "", "> ")
    named = re.findall(r"^- \[[^\]]+\]\(([^)]+)\): .+\.$", "\n".join(lines), re.MULTILINE)
    assert len(named) > 25
    assert all((staged / name).is_file() for name in named)
    assert all(not line or line.startswith(("## ", "- [")) for line in lines)


def test_it_is_built_without_a_warning(site: Any, tmp_path: Path) -> None:
    pytest.importorskip("zensical", reason="needs the extra docs")
    site.main(out=tmp_path / "site")
    for page in ("index.html", "own-pictures.html", "own-pictures.md", "llms.txt", "python/payattention.html"):
        assert (tmp_path / "site" / page).is_file()
    assert "Shapes" in (tmp_path / "site" / "python.html").read_text(encoding="utf-8")
