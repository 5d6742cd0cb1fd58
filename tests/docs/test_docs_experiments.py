"""The pages on attacks, transfer, figures and probing: their Python runs, their commands exist."""

import re
from pathlib import Path

import pytest

import payattention as pa
from payattention.cli.app import run
from payattention.data.readers.cluttered_digits import COUNTS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("attacks.md", "transfer.md", "figures.md", "attentive-probing.md")


def text(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_its_commands_have_their_options(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"^payattention (\w+) ([^#\n]*)", text(page), re.MULTILINE)
    assert commands
    for verb, rest in commands:
        assert run([verb, "--help"]) == 0, verb
        described = capsys.readouterr().out
        for option in re.findall(r"--[\w-]+", rest):
            assert f"{option} " in described, f"{verb} {option}"


@pytest.mark.parametrize("page", ["attacks.md", "transfer.md"])
def test_its_python_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(COUNTS, "test", 20)
    model = pa.create_model("vgg_att2_concat_pc", 10, 0.0625)
    model.classes = tuple(map(str, range(10)))
    pa.save(model, "runs/quickstart")
    (example,) = re.findall(r"```python\n(.*?)```", text(page), re.DOTALL)
    scope: dict[str, object] = {}
    exec(example, scope)
    if page == "attacks.md":
        assert len(scope["result"].attacks) == 4
        assert scope["attacked"].shape == (8, 3, 32, 32)
    else:
        assert scope["features"].shape == (8, 64)
