"""The page in a browser: every control of Look, Query and Attack is used, and its result is compared with Python's."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

import payattention as pa
from payattention.figures.gallery.record import quantised
from payattention.pictures.drawing import COLOUR_MAP
from studio_pages import Served


@pytest.fixture(scope="module")
def opened(browser: Any, served: Served) -> Iterator[Any]:
    """The page at a laptop's width; whatever it complains of, or asks of anyone else, is an error in the end."""
    page, said, asked = browser.new_page(viewport={"width": 1280, "height": 900}), [], []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("response", lambda answer: said.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
    page.on("request", lambda request: asked.append(request.url))
    page.set_default_timeout(120_000)  # ms; a busy machine is slow
    page.asked = asked
    page.goto(served.url)
    page.locator("#pa-look-examples button").first.wait_for()  # the page's own scripts are at work then
    yield page
    assert said == []
    assert [url for url in asked if not url.startswith((served.url, "data:", "blob:"))] == []


def drawn(page: Any, place: str) -> np.ndarray:
    """The pixels (h, w, 4) of an image of the page."""
    uri = page.locator(place).first.get_attribute("src")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGBA"))


def choose(within: Any, legend: str, text: str) -> None:
    within.get_by_role("group", name=legend).get_by_text(text, exact=True).click()


@pytest.mark.float32
def test_look(opened: Any, served: Served) -> None:
    page, look = opened, opened.locator("#pa-look")
    page.get_by_role("tab", name="Look").click()
    page.locator("#pa-look-picture input[type=file]").set_input_files(served.picture)
    look.locator(".pa-frame").wait_for()
    model = pa.load(served.seeing)
    own = pa.explain(model, served.picture)
    bars = look.locator(".pa-bar")
    assert bars.locator("b").all_text_contents() == list(own.top)
    page.wait_for_load_state("networkidle")
    before = len([url for url in page.asked if url.startswith("http")])

    look.get_by_label("the map's own cells").check()
    for level, values in {**own.maps, "combined": own.joint}.items():
        choose(look, "Level", next(text for text in own.shown.values() if level in text))
        expected = colormaps[COLOUR_MAP](quantised(values), bytes=True)[..., :3]
        assert np.array_equal(drawn(page, "#pa-look .pa-map")[..., :3], expected)
    look.get_by_label("the map's own cells").uncheck()
    pictures = []
    for style in ("dim", "contour", "heat"):
        choose(look, "Style", style)
        pictures.append(drawn(page, "#pa-look .pa-map"))
    assert not any(np.array_equal(a, b) for a, b in zip(pictures, pictures[1:] + pictures[:1], strict=True))
    look.get_by_label("Opacity").fill("0.25")
    shown = look.locator(".pa-map").first
    assert shown.evaluate("(image) => getComputedStyle(image).opacity") == "0.25"

    look.get_by_label("mask", exact=True).check()
    mask = drawn(page, "#pa-look .pa-mask")[..., 3] == 0
    same = np.asarray(Image.fromarray(own.mask).resize(mask.shape[::-1], Image.Resampling.NEAREST))
    assert (mask & same).sum() / (mask | same).sum() > 0.9
    look.get_by_label("mask", exact=True).uncheck()
    look.get_by_label("its outline").check()
    assert 0 < (drawn(page, "#pa-look .pa-mask")[..., 3] > 0).mean() < 0.5

    box = look.locator(".pa-frame").bounding_box()
    rows, columns = own.joint.shape
    page.mouse.move(box["x"] + 0.5 * box["width"] / columns, box["y"] + 1.5 * box["height"] / rows)
    value, place = look.locator(".pa-weight").inner_text().split(" in ")
    assert place == "row 2, column 1"
    assert float(value) == pytest.approx(own.joint[1, 0], rel=0.02, abs=1e-4)
    page.keyboard.press("Tab")
    look.locator(".pa-frame").focus()
    page.keyboard.press("ArrowDown")
    assert "row 3, column 1" in look.locator(".pa-weight").inner_text()

    note = look.locator(".pa-note").first
    assert "one map whatever the class" in note.inner_text()
    second = list(own.top)[1]
    bars.nth(1).click()
    assert bars.nth(1).get_attribute("aria-pressed") == "true"
    assert f"Grad-CAM of {second}" in note.inner_text()
    choose(look, "Map", "attention")
    look.get_by_label("Compare with").select_option(label="Grad-CAM")
    assert f"Right of the line: Grad-CAM of {second}" in note.inner_text()
    look.get_by_label("The line between the two").fill("20")
    assert "20%" in look.locator(".pa-other").first.evaluate("(image) => getComputedStyle(image).clipPath")
    look.locator("fieldset").nth(0).locator("input:checked").focus()
    page.keyboard.press("ArrowRight")
    assert look.locator("fieldset").nth(0).locator("input:checked").get_attribute("value") == "grad_cam"
    assert len([url for url in page.asked if url.startswith("http")]) == before  # all that without the server

    with page.expect_download() as fetched:
        page.locator("#pa-look-files").click()
    assert fetched.value.suggested_filename == "look.zip"


def test_an_example_is_looked_at(opened: Any) -> None:
    opened.get_by_role("tab", name="Look").click()
    strip = opened.locator("#pa-look-examples button")
    strip.first.wait_for()
    says = strip.evaluate_all("(buttons) => buttons.map((button) => button.querySelector('img').alt)")
    assert len(says) == 12
    assert all(says)
    before = opened.locator("#pa-look .pa-picture").first.get_attribute("src")
    strip.nth(1).click()
    opened.wait_for_function("(before) => document.querySelector('#pa-look .pa-picture')?.src !== before", arg=before)


def test_query_and_model(opened: Any, served: Served) -> None:
    query = opened.locator("#pa-query")
    opened.get_by_role("tab", name="Query").click()
    opened.locator("#pa-query-picture input[type=file]").set_input_files(served.picture)
    opened.locator("#pa-query-picture img").first.wait_for()  # nobody clicks while a picture is on its way
    opened.locator("#pa-query-asking button").nth(2).click()
    query.locator(".pa-frame").first.wait_for()
    assert query.locator("figcaption").all_text_contents() == ["its own query", "the other's query", "change"]
    moved = query.locator(".pa-note").first.inner_text()
    assert float(moved.removeprefix("Moved by ").split()[0]) > 0
    levels = query.get_by_role("group", name="Level").locator("label")
    assert levels.count() == 2
    before = drawn(opened, "#pa-query .pa-map")
    levels.nth(1).click()
    assert not np.array_equal(before, drawn(opened, "#pa-query .pa-map"))
    opened.locator("#pa-model input").click()
    opened.get_by_role("option", name=served.blind).click()
    query.locator(".pa-blind").wait_for()
    assert "Moved by 0.000" in query.locator(".pa-note").first.inner_text()
    opened.locator("#pa-model input").click()
    opened.get_by_role("option", name=served.seeing).click()


def test_attack(opened: Any, served: Served) -> None:
    attack = opened.locator("#pa-attack")
    opened.get_by_role("tab", name="Attack").click()
    opened.locator("#pa-attack-picture input[type=file]").set_input_files(served.picture)
    attack.locator(".pa-frame").first.wait_for()
    assert attack.locator(".pa-frame").count() == 3
    assert attack.locator(".pa-change").count() == 2
    opened.locator("#pa-attack-how").get_by_label("PGD").check()
    attack.get_by_text("under PGD", exact=True).wait_for()
    opened.locator("#pa-eps input[type=number]").fill("0")
    opened.locator("#pa-attack-start").click()
    opened.wait_for_function(
        "() => new Set([...document.querySelectorAll('#pa-attack .pa-picture')].map((image) => image.src)).size === 1"
    )  # of size 0 nothing comes
    assert "is still taken for" in attack.locator(".pa-said").inner_text()


def test_it_fits_phone_and_laptop_light_and_dark(opened: Any) -> None:
    grounds = {}
    for width in (390, 1280):
        opened.set_viewport_size({"width": width, "height": 800})
        for scheme in ("light", "dark"):
            opened.emulate_media(color_scheme=scheme)
            grounds[scheme] = opened.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--ground')")
            for tab in ("Look", "Query", "Attack"):
                opened.get_by_role("tab", name=tab).click()
                assert opened.evaluate("document.documentElement.scrollWidth") <= width, (width, tab)
    assert grounds == {"light": "#fff", "dark": "#161616"}
    opened.emulate_media(color_scheme="light")
