"""One studio for all tests of its page: two small models, of which one cannot see a query, on the loopback."""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import torch

import payattention as pa
from payattention.weights.named import named
from settling import settled
from studio_pages import CLASSES, Served
from tiny import encoded, pixels

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    pytest.importorskip("gradio", reason="needs gradio: pip install 'payattention[studio]'")
    from payattention.studio.serving import serving

    folder, before = tmp_path_factory.mktemp("studio"), dict(os.environ)
    files = {}
    for name, compatibility in (("seeing", "dp"), ("blind", "pc")):
        torch.manual_seed(1)
        model = settled(pa.create_model(f"vgg_att2_concat_{compatibility}", len(CLASSES), width=0.0625))
        model.classes = CLASSES
        pa.save(model, folder / f"{name}.safetensors")
        files[name] = str(folder / f"{name}.safetensors")
    picture = folder / "a picture.png"
    picture.write_bytes(encoded(pixels(height=60, width=80), "PNG"))
    with serving([named(file) for file in files.values()], runs=folder / "runs", places=[folder]) as url:
        yield Served(url, files["seeing"], files["blind"], picture)
    for name in [name for name in os.environ if name.startswith("GRADIO")]:
        del os.environ[name]
        os.environ |= {name: before[name]} if name in before else {}


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs a browser's driver: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()
