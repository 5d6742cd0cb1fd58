"""Measures a gallery of 1,000 pictures, how it is written and how it scrolls in Chromium, for docs/gallery.md.

Writes results/gallery.json, in about a minute on a machine that does nothing else. The pictures are different crops of
scikit-learn's two sample photographs, each with six maps of 14x14 cells, of two methods. The browser has no window and
no graphics card. The whole page is scrolled through at a steady speed, and what counts is the time from one frame to
the next: at 60 frames a second it is 16.7 ms. Needs Chromium (`apt-get install chromium`) and playwright.
"""

import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image

from measuring import Measurement, OutOption, say
from payattention.cli.program import run_script
from payattention.errors import PayAttentionError
from payattention.figures.gallery import Record, write_gallery

SIZE, CELLS = (333, 250), 14
CLASSES = tuple("abcdefghij")
SPEED = 2400  # pixels a second: three screens
SCROLLED = """(speed) => new Promise((done) => {
    const times = [], start = performance.now(), end = document.documentElement.scrollHeight - innerHeight;
    const step = (now) => {
        times.push(now);
        const place = (speed * (now - start)) / 1000;
        scrollTo(0, place);
        place < end ? requestAnimationFrame(step) : done(times);
    };
    requestAnimationFrame(step);
})"""
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"


def records(count: int) -> Iterator[Record]:
    from sklearn.datasets import load_sample_images

    photographs, random = load_sample_images().images, np.random.default_rng(0)
    for number in range(count):
        pixels = photographs[number % 2]
        top, left = (
            int(random.integers(0, whole - part)) for whole, part in zip(pixels.shape, SIZE[::-1], strict=False)
        )
        crop = Image.fromarray(pixels[top : top + SIZE[1], left : left + SIZE[0]])
        probability = float(random.uniform(0.2, 1))
        predicted, true = random.choice(len(CLASSES), 2)
        maps = random.random((2, 3, CELLS, CELLS), np.float32) ** 4
        yield Record(
            picture=crop,
            name=f"crop {number}",
            predicted=CLASSES[predicted],
            probabilities={CLASSES[predicted]: probability},
            maps={
                method: dict(zip(("fine", "coarse", "combined"), maps[k], strict=True)) for k, method in enumerate("ab")
            },
            true=CLASSES[true if number % 5 == 0 else predicted],
        )


def written(path: Path, count: int) -> dict[str, Any]:
    start, before = time.perf_counter(), _peak()
    write_gallery(path, records(count), title="gallery")
    return {
        "pictures": count,
        "megabytes": round(path.stat().st_size / 1e6, 2),
        "seconds_to_write": round(time.perf_counter() - start, 2),
        "memory_added_mebibytes": _peak() - before,
    }


def scrolled(path: Path, width: int, height: int) -> dict[str, Any]:
    """How the page does in a browser, at a width and height in pixels."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise PayAttentionError("the benchmark drives a browser: pip install playwright") from None
    chromium = shutil.which("chromium")
    if chromium is None:
        raise PayAttentionError("the benchmark needs a browser: apt-get install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(path.as_uri())
        opened = page.evaluate(DRAWN)
        again = {what: _milliseconds(page, action) for what, action in _ACTIONS.items()}
        frames = np.diff(page.evaluate(SCROLLED, SPEED))
        result = {
            "browser": browser.version,
            "opened_milliseconds": round(opened),
            "answers_milliseconds": again,
            "scrolled_pixels_a_second": SPEED,
            "frames": len(frames),
            "frame_milliseconds": {
                "median": round(float(np.median(frames)), 1),
                "95 % are shorter than": round(float(np.quantile(frames, 0.95)), 1),
                "longest": round(float(frames.max()), 1),
            },
            "frames_a_second": round(1000 / float(frames.mean()), 1),
            "heap_mebibytes": round(page.evaluate("performance.memory.usedJSHeapSize") / 2**20),
        }
        browser.close()
    return result


_ACTIONS = {
    "order": "controls.order.value = 'sure'; controls.order.dispatchEvent(new Event('input', {bubbles: true}))",
    "level": "document.querySelector('#levels input').click()",
    "style": "document.querySelector('#styles input').click()",
    "class": "filter('0', '')",
    "all": "filter('', '')",
}


def _milliseconds(page: Any, action: str) -> int:
    """From an action until the page shows what came of it."""
    start = page.evaluate(f"() => {{ const start = performance.now(); {action}; return start; }}")
    return round(page.evaluate(DRAWN) - start)


def _peak() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)  # MiB, on Linux


def main(
    count: Annotated[int, typer.Option(min=1, help="Pictures in the gallery.")] = 1000,
    out: OutOption = None,
) -> None:
    measurement = Measurement("gallery", out, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gallery.html"
        result: dict[str, Any] = {"written": written(path, count)}
        say(result["written"])
        for name, size in {"laptop": (1280, 800), "phone": (390, 844)}.items():
            result[name] = {"width": size[0], "height": size[1], **scrolled(path, *size)}
            say(name, result[name])
    measurement.write(result)


if __name__ == "__main__":
    run_script(main)
