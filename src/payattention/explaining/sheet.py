"""Pages of explanations: pictures with their maps, what the model says of each, and what the colours mean."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from payattention.pictures.drawing import STYLES, fitted, shortened

SIDE = 400
"""Pixels of a panel's longer side, at most."""
_WIDTH, _HEIGHT = 1600, 2263  # pixels of a page: A4's proportions
_LEAST = 180  # pixels of a panel, at least, where several pictures stand side by side
_MARGIN, _GAP, _GUTTER = 24, 8, 32  # pixels about a page, between panels, between pictures
_LINE = 19  # pixels, of a line of text
_BAR = (240, 14)
_INK, _FAINT, _WRONG, _NOTE = "#111111", "#666666", "#c00000", "#8a5a00"
_READING = {
    "heat": "bright colours: the map is high; the picture is greyed",
    "dim": "where the map is low, the picture is dark; the line runs at half the map's height",
    "contour": "lines at a quarter, a half and three quarters of the map's height",
}


@dataclass(frozen=True)
class Panel:
    """A picture, with or without a map over it, and what it is called."""

    picture: Image.Image
    caption: str


@dataclass(frozen=True)
class Entry:
    """One picture on a page.

    Attributes:
        title: What it is called.
        said: What the model says it is.
        panels: The picture, then its maps; as many for each picture of a page.
        truth: What it is, if that is known.
        wrong: Whether the model is wrong.
        notes: What else to bear in mind of its maps.
    """

    title: str
    said: str
    panels: Sequence[Panel]
    truth: str | None = None
    wrong: bool = False
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Heading:
    """What stands above every page: its text, and the style and scale by which the maps are drawn."""

    text: str
    style: str
    scale: str


def pages(entries: Iterable[Entry], heading: Heading, count: int) -> Iterator[Image.Image]:
    """Entries on pages of one width; each is drawn when it is full, so that few pictures are held.

    Args:
        entries: At least one.
        heading: Of every page.
        count: How many there are, as far as is known: a single picture gets larger panels.
    """
    others = iter(entries)
    first = next(others)
    layout, left = _Layout.of(len(first.panels), count), chain([first], others)
    lines: list[_Line] = []
    while several := tuple(islice(left, layout.abreast)):
        line = _Line(several, layout)
        if lines and layout.head + sum(before.height for before in lines) + line.height > _HEIGHT:
            yield _page(lines, heading, layout)
            lines = []
        lines.append(line)
    yield _page(lines, heading, layout)


def panel_side(panels: int, count: int) -> int:
    """The longer side, in pixels, that panels have on pages of so many pictures: drawn so, they are not scaled again.

    Args:
        panels: Of each picture, itself among them.
        count: How many pictures there are.
    """
    return _Layout.of(panels, count).cell


@dataclass(frozen=True)
class _Layout:
    """How many pictures stand side by side, with how many panels each, of what side in pixels."""

    abreast: int
    panels: int
    cell: int

    head = 2 * _MARGIN + 2 * _LINE

    @classmethod
    def of(cls, panels: int, count: int) -> "_Layout":
        abreast = max(1, min(count, _WIDTH // (panels * _LEAST)))
        room = (_WIDTH - 2 * _MARGIN + _GUTTER) // abreast - _GUTTER
        return cls(abreast, panels, min(SIDE, (room + _GAP) // panels - _GAP))

    @property
    def entry(self) -> int:
        return self.panels * (self.cell + _GAP) - _GAP

    @property
    def width(self) -> int:
        return max(2 * _MARGIN + self.abreast * (self.entry + _GUTTER) - _GUTTER, 3 * _BAR[0])


class _Line:
    """Pictures side by side."""

    def __init__(self, entries: Sequence[Entry], layout: _Layout) -> None:
        self.entries, self.layout = entries, layout
        self.panels = [[fitted(panel.picture, layout.cell) for panel in entry.panels] for entry in entries]
        self.tall = max(picture.height for row in self.panels for picture in row)
        self.texts = [_texts(entry) for entry in entries]
        self.height = self.tall + _LINE * (1 + max(map(len, self.texts))) + 2 * _MARGIN // 3

    def draw(self, sheet: Image.Image, top: int) -> None:
        pen, width = ImageDraw.Draw(sheet), self.layout.entry
        for place, (entry, row, texts) in enumerate(zip(self.entries, self.panels, self.texts, strict=True)):
            left, below = _MARGIN + place * (width + _GUTTER), top
            for text, colour in texts:
                _write(pen, (left, below), text, colour, width, size=15)
                below += _LINE
            y = top + _LINE * max(map(len, self.texts)) + 4
            for column, (picture, panel) in enumerate(zip(row, entry.panels, strict=True)):
                x = left + column * (self.layout.cell + _GAP)
                sheet.paste(picture, (x, y))
                if entry.wrong and not column:
                    pen.rectangle((x - 3, y - 3, x + picture.width + 2, y + picture.height + 2), None, _WRONG, 3)
                _write(pen, (x, y + picture.height + 3), panel.caption, _FAINT, self.layout.cell, size=12)


def _page(lines: Sequence[_Line], heading: Heading, layout: _Layout) -> Image.Image:
    sheet = Image.new("RGB", (layout.width, layout.head + sum(line.height for line in lines)), "white")
    _draw_heading(sheet, heading)
    top = layout.head - _MARGIN // 2
    for line in lines:
        line.draw(sheet, top)
        top += line.height
    return sheet


def _draw_heading(sheet: Image.Image, heading: Heading) -> None:
    """The text on the left; on the right the colours from low to high, on a light ground, and how to read them."""
    pen = ImageDraw.Draw(sheet)
    ramp = np.broadcast_to(np.linspace(0, 1, _BAR[0], dtype=np.float32), _BAR[::-1]).copy()
    bar = STYLES[heading.style](Image.new("RGB", _BAR, "#cccccc"), ramp, 0.8)
    left = sheet.width - _MARGIN - _BAR[0]
    sheet.paste(bar, (left, _MARGIN))
    low, high = ("0", "1") if heading.scale == "fixed" else ("a map's least value", "its greatest")
    _write(pen, (left, _MARGIN + _BAR[1] + 2), low, _FAINT, _BAR[0] // 2, size=12)
    width = _font(12).getlength(high)
    _write(pen, (sheet.width - _MARGIN - round(width), _MARGIN + _BAR[1] + 2), high, _FAINT, _BAR[0] // 2, size=12)
    room = left - 2 * _MARGIN
    _write(pen, (_MARGIN, _MARGIN - 5), heading.text, _INK, room, size=17)
    reading = f"{_READING[heading.style]}. A map has as many values as its grid; between them it is smooth."
    _write(pen, (_MARGIN, _MARGIN + _BAR[1] + 2), reading, _FAINT, room, size=12)


def right_or_wrong(truth: str | None, wrong: bool) -> str:
    """Whether what was said is right, and what the picture is; "" where that is not known."""
    if truth is None:
        return ""
    return f"wrong: it is {truth}" if wrong else f"right: {truth}"


def _texts(entry: Entry) -> list[tuple[str, str]]:
    """The lines above a picture's panels, with their colours."""
    lines = [(f"{entry.title}:  {entry.said}", _INK)]
    if entry.truth is not None:
        lines.append((right_or_wrong(entry.truth, entry.wrong), _WRONG if entry.wrong else _FAINT))
    if entry.notes:
        lines.append(("; ".join(entry.notes), _NOTE))
    return lines


def _write(pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, colour: str, width: int, size: int) -> None:
    font = _font(size)
    pen.text(place, shortened(text, font, width), colour, font)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
