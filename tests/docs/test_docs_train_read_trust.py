"""The first tutorial: its commands and its Python run, one after the other, on less data and a smaller network."""

from pathlib import Path

import numpy as np
import pytest
from blocks import commands, to_run

from payattention.cli import quickstart
from payattention.cli.app import run
from payattention.data.readers.cluttered_digits import COUNTS
from payattention.evaluation.comparison import randomisation

PAGE = "docs/train-read-trust.md"
SHORTER = {
    "quickstart": ["--epochs", "1"],
    "segment": ["--limit", "10"],
    "compare": ["--limit", "2", "--methods", "grad_cam"],
    "attack": ["--limit", "4", "--eps", "8", "--pictures", "1"],
}
"""What is added to a verb's command: of options that are given twice, the last counts."""


def test_its_commands_and_its_python_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(quickstart, "WIDTH", 0.0625)
    monkeypatch.setattr(randomisation, "_STEPS", 1)
    monkeypatch.setitem(COUNTS, "train", 20)
    monkeypatch.setitem(COUNTS, "test", 20)
    for command in commands(PAGE):
        assert run([*command, *SHORTER.get(command[0], ())]) == 0, command
    for written in ("looked/sheet.png", "worth.html"):
        assert Path(written).stat().st_size > 0
    (example,) = to_run(PAGE, "python")
    scope: dict[str, object] = {}
    exec(example, scope)
    assert isinstance(scope["seen"].maps["layer10"], np.ndarray)  # type: ignore[attr-defined]
    assert scope["seen"].maps["layer10"].shape == (16, 16)  # type: ignore[attr-defined]
