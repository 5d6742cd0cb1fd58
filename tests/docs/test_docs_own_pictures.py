"""The page on one's own pictures: its commands run, one after the other, and so does its Python."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from payattention.cli.app import run

TEXT = (Path(__file__).parents[2] / "docs" / "own-pictures.md").read_text(encoding="utf-8")
TINY = "train --model vgg_att2_concat_pc --width 0.0625 --epochs 1 --recipe-set batch_size=4"


def test_its_commands_and_its_python_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for k, place in enumerate([*("photos/cat", "photos/dog/2023") * 10, "more_pictures"]):
        file = Path(place, f"{k}.jpg")
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(k).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(file)
    Image.new("RGB", (50, 40), "green").save("holiday.jpg")
    commands = re.findall(r"^payattention (.*)$", TEXT, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["data", "train", "evaluate", "maps", "maps", "predict"]
    for command in commands:
        if command.startswith("train"):  # another network: what it is trained from is not on every machine
            rest = re.search(r"--data .*", command)
            assert rest is not None
            command = f"{TINY} {rest[0]}"
        assert run(command.split()) == 0, command
    for written in ("photos.png", "measured.html", "looked/sheet.png", "cats/sheet.png", "said.csv"):
        assert Path(written).stat().st_size > 0
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(example, {})
    assert Path("overlay.png").is_file()
