"""The page on classifiers of one's own: its Python and commands run, and a pickle becomes a file that can be read."""

from pathlib import Path

import numpy as np
import pytest
import torch
from blocks import commands, to_run
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision import models

from payattention.cli.app import run

PAGE = "docs/your-classifier.md"
WRAPPING, SCRIPT, CONVERTING = to_run(PAGE, "python")


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (80, 60), "green").save("cat.jpg")
    weights = {"weight": torch.arange(3.0)}
    torch.save(weights, "old.pt")
    scope: dict[str, object] = {}
    exec(WRAPPING, scope)
    assert scope["result"].target == "tabby"
    exec(CONVERTING, scope)
    assert torch.equal(load_file("new.safetensors")["weight"], weights["weight"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands name: pictures, masks, weights, class names, a script."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "net.py").write_text(SCRIPT)
    save_file(models.squeezenet1_1(num_classes=2).state_dict(), folder / "mine.safetensors")
    (folder / "names.txt").write_text("cat\ndog\n")
    Image.new("RGB", (80, 60), "green").save(folder / "cat.jpg")
    classes = {"photos": ("n02123045", "golden_retriever"), "mine": ("cat", "dog")}
    divided = [
        f"{data}/{split}/{name}" for data, names in classes.items() for split in ("train", "test") for name in names
    ]
    places = (*divided, "pictures", "masks")
    for number in range(2):
        for place in places:
            (folder / place).mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)
            mask = np.zeros((48, 64), np.uint8)
            mask[:20, :20] = 255
            Image.fromarray(mask if place == "masks" else noise).save(folder / place / f"{number}.png")
    return folder


@pytest.mark.parametrize("command", commands(PAGE), ids=" ".join)
def test_its_commands_run(
    command: list[str], place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert run(command) == 0, capsys.readouterr().err
