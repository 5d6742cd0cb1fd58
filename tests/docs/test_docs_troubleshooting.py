"""The page on troubleshooting: each message stands there as the program prints it today."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import payattention as pa
from payattention.cli import computing
from payattention.cli.app import run
from payattention.errors import PayAttentionError
from payattention.system import cores, extras, machine, reaching
from payattention.training.fit import new_model
from payattention.training.recipe import load_recipe

PAGE = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = [" ".join(text.split()) for text in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)]
NUMBER = re.compile(r"\d[\d,.]*\d|\d")


def check_there(message: str) -> None:
    """The page has it, whatever the numbers, which are of a machine and its pictures."""
    said = _plain(message.replace("python -m payattention", "payattention"))
    told = [_plain(text) for text in MESSAGES]
    begun = [text.removesuffix("DETAILS") for text in told if text.endswith("DETAILS")]
    assert said in told or said.startswith(tuple(begun)), f"docs/troubleshooting.md should have:\n{message}"


def _plain(message: str) -> str:
    return NUMBER.sub("N", " ".join(message.split()))


COMMANDS = (
    "maps runs/photos cat.jpg --out full",
    "maps runs/phots cat.jpg",
    "maps runs/plain cat.jpg",
    "maps old.pt cat.jpg",
    "maps runs/photos cat.jpg --target dog",
    "maps runs/photos empty",
    "maps runs/photos broken.jpg",
    "evaluate runs/photos --data cifar10 --data-root data",
    "evaluate runs/photos --data photos",
    "evaluate runs/photos --data folder:other",
    "train --data folder:loose",
    "train --data cluttered_digit",
    "train --model vgg_att2_concat_pc --freeze",
    "train --resume runs/photos",
    "push runs/photos me/photos",
    "query runs/plain cat.jpg cat.jpg",
    "segment runs/photos --data folder:other",
    "benchmark vgg_att3_concat_pc --batch-size 100000000",
)


@pytest.fixture
def _things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, network in (("photos", "vgg_att2_concat_pc"), ("plain", "vgg")):
        model = pa.create_model(network, 2, 0.0625).eval()
        model.classes = ("cat", "dog")
        pa.save(model, Path("runs", name))
    Path("full").mkdir()
    Path("full/file").touch()
    Path("empty").mkdir()
    Path("old.pt").touch()
    Path("broken.jpg").write_bytes(b"text")
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    files = [
        "cat.jpg",
        "loose/a.jpg",
        "photos/cat/a.jpg",
        *(f"other/{c}/{k}.jpg" for c in ("cow", "hen") for k in "ab"),
    ]
    for file in map(Path, files):
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).save(file)


@pytest.mark.usefixtures("_things")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_fails(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["payattention"])  # what started the tests may be called anything
    assert run(command.split()) in (1, 2)
    check_there(capsys.readouterr().err.splitlines()[-1])


def test_memory_that_runs_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore of it")

    monkeypatch.setattr("payattention.models.list_models", full)
    assert run(["models"]) == 1
    check_there(capsys.readouterr().err)


@pytest.mark.usefixtures("_things")
def test_notes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A busy machine, and a processor that is slower in bf16."""
    monkeypatch.setattr(cores, "overload", lambda: "load 6 on 2 cores")
    monkeypatch.setattr(computing, "chosen_threads", lambda: 2)
    slower = "bf16 is slower on this processor: a product of two matrices takes 3.1 times as long"
    monkeypatch.setattr(computing, "slower_in_bf16", lambda: slower)
    assert slower.partition("takes")[0] in Path(machine.__file__).read_text(encoding="utf-8")
    assert run(["maps", "runs/photos", "cat.jpg", "--precision", "bf16"]) == 0
    for line in capsys.readouterr().err.splitlines():
        if line.startswith("note: "):
            check_there(line)


@contextmanager
def told() -> Iterator[None]:
    """What is raised inside, as the command line prints it."""
    with pytest.raises(PayAttentionError) as error:
        yield
    check_there(f"payattention: {error.value}")


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with told():
        extras.check_there("integrated gradients", "captum")


def test_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.10.0")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with told(), pa.computing(device="cuda"):
        pass


def test_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(reaching, "answers", lambda _: False)
    monkeypatch.setattr(reaching, "getproxies", dict)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with told():
        pa.attach("resnet18", 5, pretrained=True)
    with told():
        pa.load("hf-hub:me/photos")


def test_colour_photographs_for_a_grey_network() -> None:
    colours = pa.ImageSet("folder:photos", "train", np.zeros((4, 32, 32, 3), np.uint8), np.arange(4) % 2, ("a", "b"))
    with told():
        new_model("vgg_att2_concat_pc", colours, load_recipe("quickstart"), width=0.0625, in_channels=1)


def test_every_message_is_tried() -> None:
    told_here = re.findall(r"^    with told\(\)", Path(__file__).read_text(encoding="utf-8"), re.MULTILINE)
    notes, memory = 2, 1
    assert len(MESSAGES) == len(COMMANDS) + len(told_here) + notes + memory
