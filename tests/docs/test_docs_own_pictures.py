"""The page on one's own pictures: its commands run, one after the other, and so does its Python."""

from pathlib import Path

import numpy as np
import pytest
from blocks import commands, to_run
from PIL import Image

from payattention.cli.app import run

PAGE = "docs/own-pictures.md"
TINY = "train --model vgg_att2_concat_pc --width 0.0625 --epochs 1 --recipe-set batch_size=4"


def test_its_commands_and_its_python_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for k, place in enumerate([*("photos/cat", "photos/dog/2023") * 10, "more_pictures"]):
        file = Path(place, f"{k}.jpg")
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(k).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(file)
    Image.new("RGB", (50, 40), "green").save("holiday.jpg")
    verbs = ["maps", "data", "train", "evaluate", "maps", "maps", "predict"]
    assert [command[0] for command in commands(PAGE)] == verbs
    for command in commands(PAGE):
        if command[0] == "train":  # another network: what it is trained from is not on every machine
            command = [*TINY.split(), *command[command.index("--data") :]]
        assert run(command) == 0, command
    for written in ("first/sheet.png", "photos.png", "measured.html", "looked/sheet.png", "cats/sheet.png", "said.csv"):
        assert Path(written).stat().st_size > 0
    (example,) = to_run(PAGE, "python")
    exec(example, {})
    assert Path("overlay.png").is_file()
