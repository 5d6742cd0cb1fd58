"""One file, written by the command, and all that is done with it: what it says, by which programs it is run."""

import base64
import functools
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

import payattention as pa
from payattention.cli.app import run
from payattention.exporting.onnx import OnnxModel
from payattention.models import Classifier
from settling import settled

pytest.importorskip("onnxruntime", reason="needs ONNX Runtime: pip install 'payattention[export]'")
EXAMPLES = Path(__file__).parents[2] / "examples"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Deployed(NamedTuple):
    """A file, its model, what the command told of it, and a picture."""

    file: Path
    model: Classifier
    told: dict[str, Any]
    picture: Path


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    folder = tmp_path_factory.mktemp("deployed")
    torch.manual_seed(0)
    model = settled(pa.create_model("vgg_att2_concat_pc", 3, 0.0625))
    model.classes, model.temperature = ("cat", "dog", "hämster"), 2.0
    pa.save(model, folder / "run")
    file, told = folder / "deployed.onnx", folder / "told.json"
    with told.open("w", encoding="utf-8") as out, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        assert run(["export", str(folder / "run"), "--out", str(file), "--json"]) == 0
    Image.fromarray(data.chelsea()).save(folder / "chelsea.png")
    return Deployed(file, model, json.loads(told.read_text(encoding="utf-8")), folder / "chelsea.png")


def test_the_command_tells_what_it_wrote(deployed: Deployed) -> None:
    told = deployed.told
    assert told["outputs"] == ["logits", "map_layer10", "map_layer13", "combined"]
    assert told["tried"] == 3
    assert 0 < told["difference"] <= 1e-4
    assert told["bytes"] == deployed.file.stat().st_size


@pytest.mark.float32
def test_it_says_what_the_model_says_of_any_number_of_pictures_of_any_size(deployed: Deployed) -> None:
    twin = OnnxModel(deployed.file.read_bytes())
    assert twin.levels == deployed.model.levels
    for shape in ((1, 3, 32, 32), (5, 3, 41, 56)):
        images = torch.rand(shape)
        look, found = deployed.model.attend(images), twin.outputs(images)
        torch.testing.assert_close(found["logits"], look.logits, rtol=1e-4, atol=1e-5)
        for level in twin.levels:
            torch.testing.assert_close(twin.attend(images).maps[level], look.maps[level], rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(found["combined"], deployed.model.joint(look.maps), rtol=1e-3, atol=1e-6)


def test_the_runtime_tells_nobody_what_it_runs() -> None:
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"  # which it reads when it is imported


def test_its_metadata_tells_all_that_is_needed_to_use_it(deployed: Deployed) -> None:
    told = OnnxModel(deployed.file.read_bytes()).description
    assert told["classes"] == ["cat", "dog", "hämster"]
    assert told["temperature"] == 2.0
    assert told["maps"] == {"map_layer10": "layer10", "map_layer13": "layer13"}
    assert (told["input"]["size"], told["input"]["step"], told["input"]["least"]) == ([32, 32], 1, 32)
    assert told["preprocessing"] == {"name": "MeanStd", "in_the_graph": True, "mean": [0.5] * 3, "std": [0.25] * 3}


@torch.no_grad()
def expected(deployed: Deployed) -> tuple[str, float]:
    """Class and probability of the picture, seen whole, as the programs see it."""
    picture = Image.fromarray(data.chelsea())
    scale = 32 / min(picture.size)
    small = picture.resize([round(side * scale) for side in picture.size], Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].float() / 255
    probabilities = deployed.model.probabilities(deployed.model(pixels))[0]
    return deployed.model.classes[int(probabilities.argmax())], float(probabilities.max())


@pytest.mark.float32
def test_the_example_needs_no_pytorch(deployed: Deployed, tmp_path: Path) -> None:
    script = EXAMPLES / "serve_onnx.py"
    assert len(script.read_text(encoding="utf-8").splitlines()) < 40
    code = (
        "import runpy, sys\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "assert not {'torch', 'payattention', 'matplotlib', 'scipy'} & sys.modules.keys()\n"
    )
    command = [sys.executable, "-c", code, str(script), str(deployed.file), str(deployed.picture)]
    quiet = os.environ | {"HOME": str(tmp_path / "home"), "ORT_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=quiet)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "home").exists()  # ONNX Runtime has written nothing about us
    label, probability = expected(deployed)
    assert done.stdout == f"{label}: {probability:.1%}\n"
    with Image.open(tmp_path / "chelsea.overlay.png") as overlay:
        assert overlay.size == (451, 300)
        assert np.asarray(overlay).mean() < data.chelsea().mean()  # dark where the map is low


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    """Where the page is served, as any file server would."""
    handler = functools.partial(_Quiet, directory=str(EXAMPLES / "browser"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.float32
@pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")
@pytest.mark.skipif(not (EXAMPLES / "browser" / "vendor").is_dir(), reason="needs onnxruntime-web: make browser")
def test_the_page_runs_it_in_a_browser(deployed: Deployed, address: str) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs a browser's driver: pip install playwright")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page, asked, said = browser.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address)
        page.locator("#model").set_input_files(deployed.file)
        page.locator("#picture").set_input_files(deployed.picture)
        playwright.expect(page.locator("#said")).to_have_text(re.compile(r".+: \d+\.\d %"), timeout=60_000)
        label, probability = expected(deployed)
        found, percent = page.locator("#said").inner_text().removesuffix(" %").rsplit(": ", 1)
        assert found == label
        assert float(percent) == pytest.approx(100 * probability, abs=2)
        maps = page.locator("#map option").all_text_contents()
        shown = []
        for name in maps:
            page.locator("#map").select_option(label=name)
            uri = page.evaluate("document.getElementById('overlay').toDataURL()")
            file = io.BytesIO(base64.b64decode(uri.partition(",")[2]))
            shown.append(np.asarray(Image.open(file).convert("RGB"), np.float32))
        assert page.locator("#problem").inner_text() == ""
        browser.close()
    assert maps == ["combined", "layer10", "layer13"]
    assert all(np.abs(one - other).mean() > 0.1 for one, other in pairwise(shown))
    assert all(pixels.mean() < data.chelsea().mean() for pixels in shown)  # darker where the map is low
    assert all(url.startswith((address, "blob:", "data:")) for url in asked)
    assert said == []
