"""The page's tabs Folder and Train, as a program and as a browser ask them."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from studio_pages import Served
from tiny import pixels

client_of = pytest.importorskip("gradio_client", reason="needs gradio: pip install 'payattention[studio]'")


@pytest.fixture(scope="module")
def url(served: Served) -> str:
    """The studio of all tests, whose folder has cats and dogs, too."""
    for k in range(4):
        file = served.picture.parent / "pets" / ("cat", "dog")[k % 2] / f"{k}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(k, 40, 30)).save(file)
    return served.url


def test_a_program_asks_for_a_folder_and_for_a_training(url: str, served: Served, tmp_path: Path) -> None:
    client = client_of.Client(url, verbose=False)
    said, frame, bundle = client.predict("pets", 10, served.blind, api_name="/folder")
    assert "4 pictures. The same of all: " in said
    assert 'sandbox="allow-scripts"' in frame
    assert "dog/3.png" in frame
    assert Path(str(bundle["value"] if isinstance(bundle, dict) else bundle)).suffix == ".zip"
    for place, says in (
        ("..", "this page shows what lies in"),
        ("cats", "cats: no such folder"),
        ("", "choose a folder"),
    ):
        with pytest.raises(Exception, match=says):
            client.predict(place, 10, served.blind, api_name="/folder")
    with pytest.raises(Exception, match="choose pictures first"):
        client.predict(None, None, api_name="/train")
    (tmp_path / "a.zip").write_bytes(served.picture.read_bytes())
    with pytest.raises(Exception, match=r"a.zip: not a .zip archive"):
        client.predict(client_of.handle_file(str(tmp_path / "a.zip")), None, api_name="/train")
    assert client.predict(api_name="/training")[0] == ""


def test_in_a_browser_the_folder_is_a_gallery_that_reaches_nothing(url: str, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.set_default_timeout(60_000)
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on(
        "request",
        lambda request: errors.append(request.url) if not request.url.startswith((url, "data:", "blob:")) else None,
    )
    page.goto(url)
    page.get_by_role("tab", name="Folder").click()
    place = page.locator("#pa-folder-place input")
    place.fill("pets")
    place.press("Enter")
    page.locator("#pa-folder-look").click()
    gallery = page.frame_locator("iframe.pa-gallery")
    cards = gallery.locator("#pictures > li")
    cards.nth(3).wait_for()
    assert cards.count() == 4
    gallery.locator("select[name=truth]").select_option(label="dog")
    assert gallery.locator("#pictures > li:visible").count() == 2
    cards.first.locator("button").click()
    assert gallery.locator("#large-name").inner_text().startswith("dog/")
    assert gallery.locator("#large .maps button").count() > 2
    with pytest.raises(Exception, match=r"SecurityError|sandbox"):
        page.frames[-1].evaluate("parent.document.title")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert errors == []
    page.close()
