"""The page on sharing a model tells the truth: its commands and its Python run, against a Hub on this machine."""

from pathlib import Path

import pytest
from blocks import commands, to_run
from PIL import Image

import payattention as pa
from hub_server import hub_on_loopback
from payattention.cli.app import run
from payattention.models import Classifier

PAGE = "docs/sharing.md"


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Classifier) -> None:
    monkeypatch.chdir(tmp_path)
    pa.save(model, "runs/photos")
    Path("more_pictures").mkdir()
    for picture in ("holiday.jpg", "more_pictures/a.jpg"):
        Image.new("RGB", (40, 40), "green").save(picture)
    with hub_on_loopback(tmp_path / "cache", monkeypatch) as hub:
        hub.tags["v1.0"] = 0
        for command in commands(PAGE):
            assert run(command) == 0, command
        for code in to_run(PAGE, "python"):
            exec(code.replace('"to-push"', '"from-python"'), scope := {"pa": pa, "model": model})
            assert scope["model"].classes == model.classes
        assert len(hub.repositories["me/photos"]) == 2
