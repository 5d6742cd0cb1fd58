"""The examples: each is short, and runs."""

import json
import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models

import payattention as pa
from payattention.attention import COMPATIBILITIES
from payattention.data.readers.cluttered_digits import COUNTS
from payattention.models.timm_backbones import backbone

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(EXAMPLES.glob("*.py"))


def example(name: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def photos() -> Path:
    """Ten pictures of two classes."""
    for k in range(10):
        file = Path("photos", ("cat", "dog")[k % 2], f"{k}.jpg")
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(k).integers(0, 256, (40, 50, 3), np.uint8)).save(file)
    return Path("photos")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_it_is_short_and_says_how_to_run_it(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 40
    assert f"python examples/{file.name}" in text


def test_finetune_folder(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fresh(name: str, options: dict[str, Any], file: str = "") -> torch.nn.Module:
        import timm

        return timm.create_model(name, **options)

    monkeypatch.setattr(backbone, "create_pretrained", fresh)  # of the tiny one there are no weights here
    example("finetune_folder")["finetune"](photos, Path("run"), "test_resnet", epochs=1, batch_size=4)
    assert pa.load("run").classes == ("cat", "dog")


def test_wrap_torchvision(photos: Path) -> None:
    network = models.squeezenet1_1(num_classes=1000)
    seen = example("wrap_torchvision")["look"](network, photos / "cat" / "0.jpg", Path("cat.png"))
    assert seen.label in seen.classes
    for written in ("cat.png", "cat-second.png"):
        with Image.open(written) as overlay:
            assert overlay.size == (50, 40)


def test_batch_maps(photos: Path, model: pa.Classifier) -> None:
    pa.save(model, "run")
    module = example("batch_maps")
    module["write_maps"].__globals__["BATCH"] = 4
    assert module["write_maps"](Path("run"), photos, Path("maps.npz")) == 10
    with np.load("maps.npz") as maps:
        assert len(maps.files) == 20
        alone = pa.explain(model, photos / "dog" / "1.jpg")
        assert maps["dog/1.jpg map"] == pytest.approx(alone.combined, abs=2e-3)
        assert maps["dog/1.jpg label"].item().startswith(alone.label)


@pytest.fixture
def _as_before() -> Iterator[None]:
    before = dict(COMPATIBILITIES)
    yield
    COMPATIBILITIES.clear()
    COMPATIBILITIES.update(before)


@pytest.mark.usefixtures("_as_before")
def test_own_compatibility(images: torch.Tensor) -> None:
    """Against a loop over places; it is saved and loaded, and sees its query."""
    score = example("own_compatibility")["Cosine"](5)
    local, query = torch.randn(2, 5, 3, 4), torch.randn(2, 5)
    scores = score(local, query)
    place = local[1, :, 2, 3]
    assert scores[1, 2, 3].item() == pytest.approx(10 * (place @ query[1] / place.norm() / query[1].norm()).item())

    model = pa.create_model("vgg_att2_concat_pc", 3, 0.0625, compatibility="cosine").eval()
    pa.save(model, "cosine")
    with torch.no_grad():
        own, asked = pa.load("cosine").attend(images), model.attend(images, query=images.flip(0))
    assert torch.equal(own.maps["layer10"], model.attend(images).maps["layer10"])
    assert not torch.equal(own.maps["layer10"], asked.maps["layer10"])


def test_tour(monkeypatch: pytest.MonkeyPatch) -> None:
    """The notebook's cells run in turn, on less data; it is committed without outputs."""
    for split in COUNTS:
        monkeypatch.setitem(COUNTS, split, 20)
    notebook = json.loads((EXAMPLES / "tour.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells)
    scope: dict[str, Any] = {}
    for cell in cells:
        *body, last = re.split(r"^(?=\S)", "".join(cell["source"]), flags=re.MULTILINE)
        exec("".join(body), scope)
        _shown(last, scope)


def _shown(statement: str, scope: dict[str, Any]) -> None:
    """Runs a cell's last statement and, where it is an expression, draws it as a notebook does."""
    try:
        value = eval(statement, scope)
    except SyntaxError:
        exec(statement, scope)
        return
    draw: Callable[[], object] | None = getattr(value, "_repr_html_", None)
    if draw is not None:
        assert draw()
