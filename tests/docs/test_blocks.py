"""Every code block of every page is run by a test, or says why not; every command is one that the program takes."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from blocks import PAGES, ROOT, Block, blocks, calls, commands, to_run
from PIL import Image

import payattention as pa
from payattention.cli.app import app, run
from payattention.training.recipe import load_recipe

TESTS = Path(__file__).parent
RUN_BY = {
    "README.md": "test_readme.py",
    "docs/attacks.md": "test_docs_experiments.py",
    "docs/deploying.md": "test_docs_deploying.py",
    "docs/gallery.md": "test_docs_gallery.py",
    "docs/how-to-read-a-map.md": "test_docs_how_to_read.py",
    "docs/own-pictures.md": "test_docs_own_pictures.py",
    "docs/predicting.md": "test_docs_predicting.py",
    "docs/segmentation.md": "test_docs_segmentation.py",
    "docs/sharing.md": "test_docs_sharing.py",
    "docs/train-read-trust.md": "test_docs_train_read_trust.py",
    "docs/transfer.md": "test_docs_experiments.py",
    "docs/your-classifier.md": "test_docs_your_classifier.py",
}
"""Pages with a test of their own; the blocks of all others are run below."""
OTHERS = [page for page in (p.relative_to(ROOT).as_posix() for p in PAGES) if page not in RUN_BY]
VERBS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@every_page
def test_its_blocks_are_run_or_say_why_not(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("```") == 2 * len(re.findall(r"^```\w*$.*?^```$", text, re.MULTILINE | re.DOTALL))
    comments = re.findall(r"^<!-- not run:", text, re.MULTILINE)
    assert len(comments) == sum(bool(block.reason) for block in blocks(page)), "a comment above no block"
    for block in (block for block in blocks(page) if not block.reason):
        assert block.language in ("", "python", "toml"), f"{block}: nothing runs such a block"
        assert block.language or all(_is_ours(line) for line in block.lines), f"{block}: runs by itself?"


@pytest.mark.parametrize(("page", "test"), RUN_BY.items())
def test_its_own_test_takes_what_is_to_be_run(page: str, test: str) -> None:
    source = (TESTS / test).read_text(encoding="utf-8")
    assert page in source
    for language in {block.language for block in blocks(ROOT / page) if not block.reason}:
        assert ("to_run(" if language else "commands(") in source, f"{test} does not run the {language or 'commands'}"


@every_page
def test_its_commands_can_be_called_so(page: Path) -> None:
    for verb, *rest in (call for block in blocks(page) if not block.language for call in calls(block)):
        VERBS[verb].make_context(verb, rest)


@every_page
def test_its_python_is_python(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            compile(block.text.replace("(run: RunArgument, ...,", "(run: RunArgument,"), block.page, "exec")


@pytest.mark.parametrize("page", [page for page in OTHERS if any(not b.reason for b in blocks(ROOT / page))])
def test_its_blocks_run(page: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    scope = _what_pages_speak_of()
    for code in to_run(page, "python"):
        exec(code, scope)
    for recipe in to_run(page, "toml"):
        Path("mine.toml").write_text(recipe, encoding="utf-8")
        assert load_recipe("mine.toml").epochs
    for command in commands(page):
        assert run(command) == 0, command


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs and pictures that pages name."""
    tmp_path = tmp_path_factory.mktemp("pages")
    pa.save(_model(), tmp_path / "runs" / "quickstart")
    pa.save(_model(width=0.25), tmp_path / "runs" / "mine")  # wide enough to be made faster
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    for name in ("cat.jpg", "holiday.jpg", "PICTURES/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / name)
    return tmp_path


def _model(width: float = 0.0625) -> pa.Classifier:
    model = pa.create_model("vgg_att2_concat_pc", 5, width).eval()
    model.classes = ("tabby", "dog", "ship", "frog", "truck")
    return model


def _what_pages_speak_of() -> dict[str, object]:
    """Names that a block takes for granted, since the page has just spoken of them."""
    return {"pa": pa, "model": _model(), "images": torch.rand(4, 3, 32, 32), "labels": torch.tensor([0, 1, 2, 3])}


def _is_ours(line: str) -> bool:
    block = Block("", "", line, "")
    return not line.strip() or bool([*calls(block)])
