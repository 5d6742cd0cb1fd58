"""Pages of explanations: all of them are there, each as large as there is room, and mistakes are marked."""

import numpy as np
import pytest
from PIL import Image

from payattention.explaining.sheet import SIDE, Entry, Heading, Panel, pages, panel_side

HEADING = Heading("a network: attention", "heat", "own")
RED = (192, 0, 0)


def entry(size: tuple[int, int] = (40, 30), panels: int = 4, wrong: bool = False, colour: str = "blue") -> Entry:
    picture = Image.new("RGB", size, colour)
    truth = "dog" if wrong else None
    return Entry("x" * 300, "cat (87%)", [Panel(picture, "fine, 14x14: a")] * panels, truth, wrong, ["a note"])


def count(page: Image.Image, colour: tuple[int, ...]) -> int:
    return int((np.asarray(page) == colour).all(2).sum())


@pytest.mark.parametrize("number", [1, 2, 7, 50])
@pytest.mark.parametrize("panels", [2, 4, 6])
def test_every_panel_is_on_a_page(number: int, panels: int) -> None:
    drawn = list(pages((entry(panels=panels) for _ in range(number)), HEADING, number))
    assert len({page.width for page in drawn}) == 1
    assert all(page.width <= 1600 and page.height <= 2263 for page in drawn)
    blue = sum(count(page, (0, 0, 255)) for page in drawn)
    side = (blue / number / panels / 0.75) ** 0.5
    assert side == pytest.approx(round(side), abs=0.5)
    assert 150 < side <= SIDE
    assert len(drawn) == 1 or number > 7


@pytest.mark.parametrize("number", [1, 20])
@pytest.mark.parametrize("panels", [2, 4])
def test_what_is_drawn_at_a_panels_side_stands_on_the_page_as_it_is(number: int, panels: int) -> None:
    side = panel_side(panels, number)
    noise = np.random.default_rng(0).integers(0, 256, (side // 2, side, 3), np.uint8)
    drawn = Entry("x", "cat (87%)", [Panel(Image.fromarray(noise), "")] * panels)
    page = np.asarray(next(pages([drawn] * number, HEADING, number)))
    corners = np.argwhere((page == noise[0, 0]).all(2))
    assert sum(np.array_equal(page[y : y + side // 2, x : x + side], noise) for y, x in corners) >= panels


def test_a_single_picture_is_shown_large_and_many_small() -> None:
    (single,) = pages([entry(panels=2)], HEADING, 1)
    (several,) = pages([entry(panels=2)] * 8, HEADING, 8)
    assert count(single, (0, 0, 255)) > 2 * count(several, (0, 0, 255)) / 8


@pytest.mark.parametrize("size", [(1, 1000), (1000, 1), (9, 9)])
def test_any_proportions(size: tuple[int, int]) -> None:
    for page in pages([entry(size)] * 5, HEADING, 5):
        assert count(page, (0, 0, 255)) > 0


def test_a_mistake_is_framed_and_said() -> None:
    (right,) = pages([entry()], HEADING, 1)
    (wrong,) = pages([entry(wrong=True)], HEADING, 1)
    assert count(right, RED) == 0
    assert count(wrong, RED) > 2 * 3 * (SIDE - 30)


@pytest.mark.parametrize("style", ["heat", "dim", "contour"])
@pytest.mark.parametrize("scale", ["own", "fixed"])
def test_every_page_says_how_its_colours_are_read(style: str, scale: str) -> None:
    (page,) = pages([entry()], Heading("n", style, scale), 1)
    bar = np.asarray(page)[24:38, page.width - 24 - 240 : page.width - 24].astype(int)
    assert np.ptp(bar.reshape(-1, 3), 0).max() > 60
