"""What a release consists of: a long description whose links lead somewhere, archives without what does not belong."""

import re
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import payattention as pa
from payattention.weights.bundled import bundled

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
METADATA = "payattention-0.1.0.dist-info/METADATA"


def long_description() -> str:
    """The README as the build's hook rewrites it."""
    hook = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    text = "".join((ROOT / part["path"]).read_text(encoding="utf-8") for part in hook["fragments"])
    for change in hook["substitutions"]:
        text = re.sub(change["pattern"], change["replacement"], text)
    return text


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[Path], list[str]]]:
    monkeypatch.syspath_prepend(str(ROOT / "tools" / "release"))
    import check_archives

    monkeypatch.delitem(sys.modules, "check_archives")
    return {"wheel": check_archives.wrong_in_wheel, "source": check_archives.wrong_in_source}


def wheel(place: Path, *others: str, without: str = "", description: str = "It looks.") -> Path:
    """A wheel as it should be, but for some files."""
    needed = [
        f"payattention/weights/bundled/{name}{suffix}" for name in bundled() for suffix in (".safetensors", ".json")
    ]
    names = [*needed, "payattention/py.typed", "payattention/__init__.pyi", *others]
    with zipfile.ZipFile(place / "payattention-0.1.0-py3-none-any.whl", "w") as opened:
        opened.writestr(METADATA, f"Name: payattention\n\n{description}")
        for name in set(names) - {without}:
            opened.writestr(name, "")
    return Path(opened.filename or "")


def test_the_long_description_has_no_dead_link_and_all_words() -> None:
    text, readme = long_description(), (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((?!https://|#)", text) == []
    assert "<!--" not in text
    for words in re.findall(r"(?<!!)\[([^\]]+)\]\(docs/", readme):
        assert words in text
    assert text.count("```") == readme.count("```")


def test_the_citation_is_of_this_version() -> None:
    assert f"\nversion: {pa.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_a_wheel_as_it_should_be(wrong: dict[str, Callable[[Path], list[str]]], tmp_path: Path) -> None:
    assert wrong["wheel"](wheel(tmp_path)) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"others": ["tests/test_cli.py"]}, "tests/test_cli.py does not belong into it"),
        ({"others": ["payattention/data/cat.jpg"]}, "payattention/data/cat.jpg does not belong into it"),
        ({"without": "payattention/py.typed"}, "payattention/py.typed is missing"),
        ({"description": "See [it](docs/it.md)."}, "its long description links to docs/it.md, which is nowhere"),
        ({"description": ""}, "it has no long description"),
    ],
)
def test_a_wheel_with_a_fault(
    changes: dict[str, object], message: str, wrong: dict[str, Callable[[Path], list[str]]], tmp_path: Path
) -> None:
    others = changes.pop("others", [])
    assert wrong["wheel"](wheel(tmp_path, *others, **changes)) == [message]  # type: ignore[misc, arg-type]


def test_a_source_archive_without_its_tests(wrong: dict[str, Callable[[Path], list[str]]], tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "payattention-0.1.0.tar.gz", "w:gz") as opened:
        for name in ("pyproject.toml", "README.md", "LICENSE", "Makefile", "docs/models.md", ".venv/bin/python"):
            opened.add(ROOT / "LICENSE", f"payattention-0.1.0/{name}")
    problems = wrong["source"](Path(opened.name or ""))  # type: ignore[arg-type]
    assert problems == ["tests/conftest.py is missing", ".venv/bin/python does not belong into it"]
