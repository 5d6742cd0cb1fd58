"""Every script that measures, or fills pages: it says what it is for, and the commands that name it are understood."""

import json
import re
import shlex
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from payattention.cli.program import run_program, script
from payattention.system.invocation import command_line
from payattention.training.recipe import Recipe
from payattention.weights.bundled import FOLDER

ROOT = Path(__file__).parents[2]
FOLDERS = ("benchmarks", "experiments", "tools/pages")
FILES = [file for folder in FOLDERS for file in sorted((ROOT / folder).glob("*.py"))]
SCRIPTS = [file for file in FILES if "run_script(main)" in file.read_text(encoding="utf-8")]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
every_script = pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: str(file.relative_to(ROOT)))


def imported(file: Path) -> ModuleType:
    """A script as a module, which is not kept: those of two folders have the same names."""
    spec = spec_from_file_location(f"script_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    before = dict(sys.modules)
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(file.parent))
        for name in set(sys.modules) - set(before):
            if getattr(sys.modules[name], "__file__", None) in map(str, FILES):
                del sys.modules[name]
    return module


@pytest.fixture(autouse=True)
def _results_stay() -> Iterator[None]:
    """No test here changes a result."""
    files = [*ROOT.glob("results/*.json"), *FOLDER.iterdir()]
    before = {file: file.read_bytes() for file in files if file.is_file()}
    yield
    assert {file: file.read_bytes() for file in before} == before


@every_script
def test_it_says_what_it_measures_and_which_page_it_fills(file: Path) -> None:
    module = imported(file)
    shown = CliRunner().invoke(script(module.main), ["--help"], terminal_width=200)
    assert shown.exit_code == 0
    first = (module.__doc__ or "").splitlines()[0]
    assert " ".join(first.split()) in " ".join(shown.output.split())
    pages = re.findall(r"[\w/-]+\.md|docs/(?=[ .,])", first)
    assert pages, first
    assert all((ROOT / page).exists() for page in pages), first
    for parameter in typer.main.get_command(script(module.main)).params:
        assert parameter.help, parameter.name  # type: ignore[attr-defined]


@every_script
def test_a_wrong_option_is_one_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_program(script(imported(file).main), f"python {file.name}", ["--nix"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith(f"python {file.name}: ")
    assert "--nix" in line


def test_every_other_file_is_used_by_a_script() -> None:
    texts = "\n".join(file.read_text(encoding="utf-8") for file in FILES)
    for file in set(FILES) - set(SCRIPTS):
        assert re.search(rf"^(from|import) {file.stem}\b", texts, re.MULTILINE), file


def test_the_commands_in_pages_are_understood() -> None:
    named = re.compile(rf"python ((?:{'|'.join(FOLDERS)})/\w+\.py)([^`\n]*)")
    calls = {call for page in PAGES for call in named.findall(page.read_text(encoding="utf-8"))}
    assert len(calls) > 10
    for file, rest in calls:
        assert ROOT / file in SCRIPTS, file
        if rest.split():  # else it is only named
            check_understood(ROOT / file, shlex.split(rest))


def test_the_commands_of_results_are_understood() -> None:
    """A result keeps the command of its day; the script of that name, where it lies today, must still take it."""
    results = [
        json.loads(file.read_text(encoding="utf-8")) for file in [*ROOT.glob("results/*.json"), *FOLDER.glob("*.json")]
    ]
    calls = {command for result in results for command in commands(result) if command.startswith("python ")}
    assert len(calls) > 10
    by_name = {file.name: file for file in SCRIPTS if file.parent.name != "pages"}
    for call in calls:
        _, file, *arguments = shlex.split(call)
        check_understood(by_name[Path(file).name], arguments)


def check_understood(file: Path, arguments: list[str]) -> None:
    typer.main.get_command(script(imported(file).main)).make_context(file.name, arguments)


def commands(value: Any) -> Iterator[str]:
    """All commands that a result names."""
    if isinstance(value, list):
        for item in value:
            yield from commands(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "command" and isinstance(item, str):
                yield item
            else:
                yield from commands(item)


def test_a_cell_is_measured_anew_once_its_recipe_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key names a way, and what the recipe adds to that way is not in the name."""
    module = imported(ROOT / "experiments" / "frozen_maps.py")
    monkeypatch.setattr(module, "cell", lambda name, *_: {"asked": module.asked(name), "error": 0.0})
    task, frozen = module.TASKS["3 of Caltech-101"], SimpleNamespace(console=Console(quiet=True))

    def measured(before: dict[str, Any]) -> list[dict[str, Any]]:
        return list(module.measured(before, ["8 queries"], [task], frozen, [0]))

    (result,) = measured({})
    assert list(result["cells"]) == ["3 of Caltech-101; 8 queries; seed 0"]
    assert not measured(result)
    monkeypatch.setattr(module, "load_recipe", lambda name: Recipe("another", 1, model={"prior": "strength"}))
    (anew,) = measured(result)
    assert [cell["asked"] for cell in anew["cells"].values()] == [{"prior": "strength", "queries": 8}]


def test_a_result_records_how_its_script_was_called() -> None:
    seen: list[str | None] = []

    def main(run: Path, limit: int = 1) -> None:
        seen.append(command_line.get())

    token = command_line.set(None)
    try:
        assert run_program(script(main), "python experiments/attack.py", ["a b", "--limit", "2"]) == 0
    finally:
        command_line.reset(token)
    assert seen == ["python experiments/attack.py 'a b' --limit 2"]
