"""Draws docs/gallery.png, the page of `evaluate --html` in Chromium, and says in docs/gallery.md what one costs.

Needs Chromium (`apt-get install chromium`) and the Python package playwright.
"""

import json
import shutil
import tempfile
from pathlib import Path

from PIL import Image

import payattention as pa
from payattention.cli.program import run_script
from payattention.errors import PayAttentionError
from payattention.figures.gallery import gallery_of_set
from payattention.system.files import write_picture
from photographs import DOCS, QuickstartRun

RESULT = Path(__file__).parents[2] / "results" / "gallery.json"
WIDTH, HEIGHT = 1180, 940


def gallery() -> str:
    if not RESULT.is_file():
        return "Not measured yet: `python benchmarks/gallery.py` writes `results/gallery.json`."
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    written, laptop, phone = result["written"], result["laptop"], result["phone"]
    scrolled = ", ".join(
        f"{own['frames_a_second']:.0f} frames a second at {own['width']} px of width (95 % of them within "
        f"{own['frame_milliseconds']['95 % are shorter than']:.0f} ms)"
        for own in (laptop, phone)
    )
    return (
        f"{written['pictures']:,} photographs with six maps each are {written['megabytes']:.1f} MB; the page opens in "
        f"{laptop['opened_milliseconds'] / 1000:.1f} s and scrolls, three screens a second, at {scrolled}: Chromium "
        f"{laptop['browser'].partition('.')[0]} without a graphics card, on {result['provenance']['device']} "
        "(`python benchmarks/gallery.py`, `results/gallery.json`)."
    )


def main(run: QuickstartRun) -> None:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise PayAttentionError("the picture is taken in a browser: pip install playwright") from None
    chromium = shutil.which("chromium")
    if chromium is None:
        raise PayAttentionError("the picture is taken in a browser: apt-get install chromium")
    model, data = pa.load(run), pa.load_data("cluttered_digits", "test")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        file = gallery_of_set(model, data, Path(folder, "page.html"), title="quickstart: cluttered_digits, test")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(file.as_uri())
        page.wait_for_timeout(2000)
        page.screenshot(path=Path(folder, "page.png"))
        browser.close()
        write_picture(DOCS / "gallery.png", Image.open(Path(folder, "page.png")).convert("RGB"))


if __name__ == "__main__":
    run_script(main)
