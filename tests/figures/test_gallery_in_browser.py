"""The gallery in a browser: every control is used, and what it does is compared with what Python says.

Needs Chromium (Debian's `chromium`) and the Python package `playwright`; where they are missing the tests skip.
"""

import base64
import io
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib import colormaps
from PIL import Image
from sklearn.metrics import confusion_matrix

from galleries import CLASSES, HOSTILE, judged
from payattention.attention.maps import drawable
from payattention.figures.gallery import Record, write_gallery
from payattention.figures.gallery.record import quantised
from payattention.pictures.drawing import COLOUR_MAP
from payattention.system.text import readable

playwright = pytest.importorskip("playwright.sync_api", reason="needs a browser's driver: pip install playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")

RECORDS = judged()
NAMES = [readable(one.name) for one in RECORDS]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gallery(tmp_path_factory.mktemp("gallery") / "page.html", RECORDS, title=f"title {HOSTILE}")


@pytest.fixture(scope="module")
def opened(browser: Any, file: Path) -> Iterator[Any]:
    """The page at a laptop's width; whatever it complains of or asks the network for is an error in the end."""
    page, said = browser.new_page(viewport={"width": 1280, "height": 900}), []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith("data:") else said.append(request.url))
    page.set_default_timeout(30_000)  # ms; a busy machine starts slowly
    page.goto(file.as_uri())
    yield page
    assert {*said} == {file.as_uri()}


@pytest.fixture
def page(opened: Any) -> Any:
    """As it is when it is opened."""
    opened.reload()
    return opened


def shown(page: Any) -> list[int]:
    """The numbers of the pictures that are there, in their order."""
    return page.evaluate("shown.map((record) => record.place)")


def drawn(page: Any, number: int) -> np.ndarray:
    """The pixels (height, width, 4) of the map over a picture's card."""
    page.wait_for_function("(place) => near.has(records[place].card) && !undrawn.size", arg=number)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    uri = page.evaluate("(place) => records[place].card.querySelector('.map').src", number)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGBA"))


def choose(page: Any, field: str, text: str) -> None:
    page.locator(field).get_by_label(text, exact=True).check()


def wrong(one: Record) -> bool:
    return one.true != one.predicted


ORDERS: dict[str, Callable[[Record], Any]] = {
    "worst mistakes first": lambda one: (not wrong(one), one.probabilities[str(one.true)]),
    "least sure first": lambda one: one.probabilities[one.predicted],
    "most sure first": lambda one: -one.probabilities[one.predicted],
    "as given": lambda one: 0,
    "by name": lambda one: int(one.name[7:9]),
}


def test_pictures_are_sorted(page: Any) -> None:
    for order, key in ORDERS.items():
        page.locator("[name=order]").select_option(order)
        assert shown(page) == sorted(range(12), key=lambda k: (key(RECORDS[k]), k))
        names = page.locator("#pictures .name").all_text_contents()
        assert names == [NAMES[k].rpartition("/")[2] for k in shown(page)]


def test_the_page_says_how_many_are_wrong(page: Any) -> None:
    assert page.locator("#summary").text_content() == "12 pictures; 3 of 12 wrong (25 %)."
    assert page.locator("#count").inner_text().strip() == "12 pictures"
    assert page.locator("#pictures .wrong").count() == 3


def test_filters_leave_what_is_like_them(page: Any) -> None:
    page.get_by_label("True class").select_option("dog")
    assert {*shown(page)} == {k for k, one in enumerate(RECORDS) if one.true == "dog"}
    page.locator("[name=outcome]").select_option("wrong")
    assert shown(page) == [k for k, one in enumerate(RECORDS) if one.true == "dog" and wrong(one)]
    page.locator("[name=called]").select_option("dog")
    assert shown(page) == []
    assert "No picture is like that." in page.locator("#count").inner_text()
    page.get_by_role("button", name="Show all").click()
    assert len(shown(page)) == 12
    page.locator("[name=text]").fill("FOLDER/1")
    assert {*shown(page)} == {1, 10, 11}
    assert "3 of 12 pictures" in page.locator("#count").inner_text()


def test_the_confusion_matrix_counts_and_filters(page: Any) -> None:
    classes = sorted(map(readable, CLASSES), key=lambda name: page.evaluate("(name) => classes.indexOf(name)", name))
    own = [readable(str(one.true)) for one in RECORDS], [readable(one.predicted) for one in RECORDS]
    counts = confusion_matrix(*own, labels=classes)
    rows = page.locator("#matrix tbody tr")
    held = [[int(text or 0) for text in rows.nth(k).locator("td").all_text_contents()[:-1]] for k in range(3)]
    assert np.array_equal(held, counts)
    for truth, called in zip(*counts.nonzero(), strict=True):
        button = rows.nth(int(truth)).locator("td").nth(int(called)).get_by_role("button")
        button.click()
        expected = {k for k in range(12) if (own[0][k], own[1][k]) == (classes[truth], classes[called])}
        assert {*shown(page)} == expected
        assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert len(shown(page)) == 12


def test_arrow_keys_move_in_the_matrix(page: Any) -> None:
    buttons = page.locator("#matrix button")
    assert page.locator("#matrix button[tabindex='0']").count() == 1  # one stop of the tabulator
    place = "() => [document.activeElement.dataset.truth, document.activeElement.dataset.called].map(Number)"
    buttons.first.focus()
    seen = [page.evaluate(place)]
    for key in ("ArrowDown", "ArrowRight", "ArrowUp", "ArrowLeft"):
        page.keyboard.press(key)
        seen.append(page.evaluate(place))
    assert all(a == b or (a[0] == b[0]) != (a[1] == b[1]) for a, b in pairwise(seen))  # along a row or a column
    assert len({*map(tuple, seen)}) > 1
    page.keyboard.press("Enter")
    truth, called = seen[-1]
    pair = page.evaluate(f"[classes[{truth}], classes[{called}]]")
    assert {*shown(page)} == {k for k, one in enumerate(RECORDS) if [*map(readable, (one.true, one.predicted))] == pair}


def test_maps_are_drawn_as_python_draws_them(page: Any) -> None:
    choose(page, "#styles", "heat")
    page.get_by_label("the map's own cells").check()
    for method, level in (("attention", "combined"), ("attention", "low"), ("Grad-CAM", "low")):
        choose(page, "#methods", method)
        choose(page, "#levels", level)
        for number in (0, 7):
            steps = quantised(RECORDS[number].maps[method][level])
            assert np.array_equal(drawn(page, number)[..., :3], colormaps[COLOUR_MAP](steps, bytes=True)[..., :3])
    choose(page, "#styles", "dim")
    assert np.abs(drawn(page, 0)[..., 3] - (255.0 - quantised(RECORDS[0].maps["Grad-CAM"]["low"]))).max() <= 1
    page.get_by_label("the map's own cells").uncheck()
    assert drawn(page, 0).shape[:2] == (107, 160)


def test_enlarged_maps_peak_in_their_cell_and_keep_their_range(page: Any) -> None:
    for number in (1, 6):
        heat = np.float32(
            page.evaluate("(k) => [...enlarged(heatOf(mapOf(records[k]), false), [4, 6], 80, 120)]", number)
        )
        heat = heat.reshape(80, 120)
        values = torch.from_numpy(RECORDS[number].maps["attention"]["combined"])
        assert np.allclose(heat, drawable(values[None], (80, 120))[0], atol=1 / 255)
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        assert (row // 20, column // 20) == (number % 4, number % 6)


def test_every_style_draws_something_else(page: Any) -> None:
    pictures = []
    for style in ("heat", "dim", "contour"):
        choose(page, "#styles", style)
        pictures.append(drawn(page, 0))
        greyed = page.locator("#pictures img").first.evaluate("(image) => getComputedStyle(image).filter")
        assert (greyed == "grayscale(1)") == (style == "heat")
        assert page.locator("#legend").is_visible() == (style == "heat")
    assert not any(np.array_equal(a, b) for a, b in zip(pictures, pictures[1:] + pictures[:1], strict=True))
    assert (pictures[2][..., 3] == 0).mean() > 0.5  # lines, and the picture between them


def test_opacity_needs_no_new_drawing(page: Any) -> None:
    drawn = page.locator("#pictures .map").first
    for opacity in ("0.1", "1"):
        page.get_by_label("Opacity").fill(opacity)
        assert drawn.evaluate("(image) => getComputedStyle(image).opacity") == opacity


def test_a_flat_map_is_named_so(page: Any) -> None:
    assert page.locator("#pictures .flat:visible").count() == 0
    choose(page, "#methods", "Grad-CAM")
    choose(page, "#levels", "flat")
    assert len(np.unique(drawn(page, 0).reshape(-1, 4), axis=0)) == 1
    page.wait_for_function("document.querySelectorAll('#pictures .flat:not([hidden])').length === 12")
    choose(page, "#methods", "attention")  # which has no such level
    assert page.locator("#levels input:checked").get_attribute("value") == "combined"


def test_a_cell_tells_its_weight(page: Any) -> None:
    page.get_by_label("Order").select_option("as given")
    frame = page.locator("#pictures .frame").nth(2)
    frame.scroll_into_view_if_needed()
    box, values = frame.bounding_box(), RECORDS[2].maps["attention"]["combined"]
    for row, column in ((2, 2), (0, 5), (3, 0)):
        page.mouse.move(box["x"] + (column + 0.5) * box["width"] / 6, box["y"] + (row + 0.5) * box["height"] / 4)
        value, place = page.locator("#weight").inner_text().split(" in ")
        assert place == f"row {row + 1}, column {column + 1}"
        assert float(value) == pytest.approx(values[row, column], abs=0.003)
    page.mouse.move(2, 2)
    assert page.locator("#weight").is_hidden()


def test_a_picture_is_enlarged_and_the_keyboard_goes_through_them(page: Any) -> None:
    page.get_by_label("Order").select_option("as given")
    page.locator("#pictures button").nth(3).press("Enter")
    large = page.get_by_role("dialog")
    assert large.get_by_role("heading").text_content() == NAMES[3]
    assert "4 of 12" in large.inner_text()
    rows = large.locator(".classes tr")
    assert rows.nth(0).locator("td").last.inner_text() == f"{100 * RECORDS[3].probabilities['cat']:.1f} %"
    assert large.locator("th.true").count() == 1
    assert "Greatest: 0.500 in row 4, column 4" in large.locator(".peak").inner_text()
    page.keyboard.press("ArrowRight")
    assert large.get_by_role("heading").text_content() == NAMES[4]
    large.get_by_role("button", name="Previous picture").click()
    assert large.get_by_role("heading").text_content() == NAMES[3]
    assert large.locator(".maps button").count() == 4
    large.locator(".maps button").nth(2).click()
    assert page.evaluate("[chosen.method, chosen.level]") == ["Grad-CAM", "low"]
    assert re.search("Grad-CAM, low: 6 . 4 cells", large.locator(".peak").inner_text())
    frame = large.locator(".parts > .room .frame").bounding_box()
    assert frame["width"] > 300
    page.mouse.move(frame["x"] + 5, frame["y"] + 5)
    assert "row 1, column 1" in page.locator("#weight").inner_text()
    page.keyboard.press("Escape")
    assert large.count() == 0
    assert page.evaluate("document.activeElement === records[3].card.querySelector('button')")


def test_names_stay_text(page: Any) -> None:
    page.locator("#pictures button").nth(2).click()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x]").count() == 0
    assert page.title() == " ".join(readable(f"title {HOSTILE}").split())
    words = page.locator("#pictures img").evaluate_all("(images) => images.map((image) => image.alt).join()")
    assert readable(HOSTILE) in words


def test_every_choice_is_reached_by_the_tabulator_and_says_what_it_is(page: Any) -> None:
    page.locator("h1").click()
    named = """() => {
        const own = document.activeElement, label = own.labels?.[0] ?? own;
        return [own.name || own.tagName, (own.ariaLabel ?? label.textContent).trim().length > 0];
    }"""
    seen = []
    for _ in range(16):
        page.keyboard.press("Tab")
        seen.append(tuple(page.evaluate(named)))
    assert all(has_name for _, has_name in seen)
    assert {"order", "truth", "called", "outcome", "text", "method", "level", "style", "opacity", "cells"} <= {
        name for name, _ in seen
    }
    page.locator("#styles input:checked").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("chosen.style") == "dim"
    assert page.locator("#pictures img:not([alt])").count() == 0


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_phone_and_laptop_light_and_dark(browser: Any, file: Path, width: int) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.goto(file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        grounds.append(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
        page.locator("#pictures button").first.click()
        box = page.get_by_role("dialog").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        page.close()
    light, dark = (sum(int(part) for part in ground[4:-1].split(",")) / 3 for ground in grounds)
    assert light > 200 > 60 > dark


def test_pictures_whose_class_nobody_knows_have_no_matrix(browser: Any, tmp_path: Path) -> None:
    unknown = [replace(one, true=None) for one in RECORDS]
    page = browser.new_page()
    page.goto(write_gallery(tmp_path / "page.html", unknown, title="").as_uri())
    assert page.locator("#summary").text_content() == "12 pictures."
    for name in ("outcome", "truth"):
        assert page.locator(f"[name={name}]").is_hidden()
    assert page.locator("#confusion").is_hidden()
    assert shown(page) == sorted(range(12), key=lambda k: RECORDS[k].probabilities[RECORDS[k].predicted])
    page.close()
