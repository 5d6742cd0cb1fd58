"""Drawing maps: overlays at a picture's own size, and contact sheets."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from payattention.system.names import Registry, check_known
from payattention.system.text import readable

COLOUR_MAP = "inferno"
"""Perceptually uniform, and it prints: brighter is more."""
CHANGE_MAP = "coolwarm"
"""Diverging, and even on both sides: red is more, blue is less, grey is as before (Moreland, 2009)."""

SCALES = ("own", "fixed")
"""How maps become colours: each from its least to its greatest value, or the values as they are, from 0 to 1."""

_HALF = 0.5
_CONTOURS = (0.25, _HALF, 0.75)
_CONTOUR_SIDE = 1600  # points of the longer side at which contours are looked for: they are smooth
_BAND = 256  # rows that are drawn at once
_CAPTION = 18  # pixels, of a line of text
_Heat = NDArray[np.float32]  # (H, W), 0 ... 1
_Colour = str | tuple[int, ...]


def check_scale(scale: str) -> None:
    """Raises UsageError unless maps can become colours in that way."""
    check_known("scale", SCALES, scale)


def coloured(heat: _Heat, colours: str = COLOUR_MAP) -> Image.Image:
    """A map as a picture of its own size."""
    levels = Image.fromarray(_in_bytes(heat))
    levels.putpalette(colour_table(colours).tobytes())
    return levels.convert("RGB")


@cache
def colour_table(colours: str = COLOUR_MAP) -> NDArray[np.uint8]:
    """The 256 colours of a map, from low to high, (256, 3).

    Those of overlays stand in a file, as matplotlib has them (CC0): its import would be a tenth of a second.
    """
    if colours == COLOUR_MAP:
        lines = Path(__file__).with_name(f"{COLOUR_MAP}.txt").read_text(encoding="ascii").split()
        return np.array([[*bytes.fromhex(line[1:])] for line in lines], np.uint8)
    from matplotlib import colormaps

    table: NDArray[np.uint8] = colormaps[colours](np.arange(256), bytes=True)[:, :3]
    return table


def overlay(picture: Image.Image, heat: _Heat, strength: float = 0.6, colours: str = COLOUR_MAP) -> Image.Image:
    """A map of the picture's size laid over the picture, which is greyed so that colour means the map alone."""

    def drawn(band: Image.Image, own: _Heat) -> Image.Image:
        return Image.blend(band.convert("L").convert("RGB"), coloured(own, colours), strength)

    return _by_bands(drawn, picture, heat)


def dimmed(picture: Image.Image, heat: _Heat, strength: float = 0.6) -> Image.Image:
    """A picture that is dark where a map of its size is low, with a line about what lies above the half.

    The picture keeps its colours. Without the line nothing would show on a picture that is dark itself.
    """

    def drawn(band: Image.Image, own: _Heat) -> Image.Image:
        kept = Image.fromarray(_in_bytes(1 - strength * (1 - own)))
        return Image.composite(band.convert("RGB"), Image.new("RGB", band.size), kept)

    return _lined(_by_bands(drawn, picture, heat), heat, {_HALF: "white"}, "black", strength)


def _in_bytes(values: _Heat) -> NDArray[np.uint8]:
    """Values in 0 ... 1 as 0 ... 255, each standing for as much."""
    return np.minimum(values * 256, 255).astype(np.uint8)


def _by_bands(draw: Callable[[Image.Image, _Heat], Image.Image], picture: Image.Image, heat: _Heat) -> Image.Image:
    """What `draw` makes of a picture and a map of its size, some rows at a time: photographs of a camera are large."""
    whole = Image.new("RGB", picture.size)
    for box in _bands(picture):
        whole.paste(draw(picture.crop(box), heat[box[1] : box[3]]), box[:2])
    return whole


def _bands(picture: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    width, height = picture.size
    return ((0, top, width, min(top + _BAND, height)) for top in range(0, height, _BAND))


def contoured(picture: Image.Image, heat: _Heat, strength: float = 0.6) -> Image.Image:
    """A picture with lines about what lies above a quarter, a half and three quarters of a map of its size."""
    colours = {level: tuple(colour_table()[int(level * 256)].tolist()) for level in _CONTOURS}
    return _lined(picture, heat, colours, "white", strength)


def _lined(
    picture: Image.Image, heat: _Heat, colours: Mapping[float, _Colour], edge: str, strength: float
) -> Image.Image:
    """Lines at some values of a map, each with an edge to be seen on any ground."""
    from skimage.measure import find_contours

    drawn, width = picture.copy(), max(1, round(max(picture.size) / 200))
    pen = ImageDraw.Draw(drawn)
    step = -(-max(picture.size) // _CONTOUR_SIDE)
    framed = np.pad(heat[::step, ::step], 1)  # else what reaches the border is left open
    for level, colour in colours.items():
        for line in find_contours(framed, level):
            points = [(step * (float(x) - 1), step * (float(y) - 1)) for y, x in line]
            pen.line(points, edge, width + 2 * max(1, width // 4), "curve")
            pen.line(points, colour, width, "curve")
    for box in _bands(picture):
        drawn.paste(Image.blend(picture.crop(box), drawn.crop(box), strength), box[:2])
    return drawn


STYLES: Registry[Callable[[Image.Image, _Heat, float], Image.Image]] = Registry(
    "style",
    {
        "heat": overlay,
        "dim": dimmed,
        "contour": contoured,
    },
)
"""Ways to lay a map of a picture's size over it; the number is the strength, 0 ... 1."""
STYLE = "heat"
"""Unless another is asked for: on forty photographs it alone showed several peaks and their grades."""


def shades(style: str) -> str:
    """The colour map from low to high by which maps are drawn in a style."""
    return "gray" if style == "dim" else COLOUR_MAP


def cut_out(picture: Image.Image, mask: NDArray[np.bool_]) -> Image.Image:
    """A picture whose pixels outside a mask (H, W) are faint."""
    pixels = np.asarray(picture.convert("RGB"))
    return Image.fromarray(np.where(mask[..., None], pixels, 255 - (255 - pixels) // 4))


def contact_sheet(
    rows: Sequence[Sequence[Image.Image]],
    columns: Sequence[str],
    labels: Sequence[str],
    cell: int = 160,
    gap: int = 8,
) -> Image.Image:
    """A grid of pictures: a title over each column, a label under each row.

    Args:
        rows: Pictures, one sequence a row, in the order of `columns`.
        columns: Titles.
        labels: One line of text a row.
        cell: Side of the square that each picture is fitted into, in pixels.
        gap: Space between cells, in pixels.
    """
    font = ImageFont.load_default(13)
    text = 20
    cells = [[fitted(picture, cell) for picture in row] for row in rows]
    heights = [max(picture.height for picture in row) for row in cells]
    width = gap + len(columns) * (cell + gap)
    sheet = Image.new("RGB", (width, gap + text + sum(heights) + len(rows) * (text + gap)), "white")
    pen = ImageDraw.Draw(sheet)
    for c, title in enumerate(columns):
        pen.text((gap + c * (cell + gap), gap // 2), shortened(title, font, cell), "black", font)
    top = gap + text
    for row, height, label in zip(cells, heights, labels, strict=True):
        for c, picture in enumerate(row):
            left = gap + c * (cell + gap) + (cell - picture.width) // 2
            sheet.paste(picture, (left, top + (height - picture.height) // 2))
        pen.text((gap, top + height + 2), shortened(label, font, width - 2 * gap), "black", font)
        top += height + text + gap
    return sheet


def fitted(picture: Image.Image, cell: int) -> Image.Image:
    """A picture scaled so that its longer side has `cell` pixels."""
    scale = cell / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    resampling = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC
    return picture.resize(size, resampling)


def shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """A line of text cut to so many pixels."""
    text = readable(text)
    if font.getlength(text) <= width:
        return text
    kept = bisect_right(range(len(text)), width, key=lambda count: int(font.getlength(f"{text[:count]}...")))
    return f"{text[: max(0, kept - 1)]}..."


def captioned(picture: Image.Image, text: str, cell: int) -> Image.Image:
    """A picture over a line of text, `cell` pixels wide and at most as high."""
    font, most = ImageFont.load_default(12), cell - _CAPTION
    picture = fitted(picture, cell)
    picture = fitted(picture, most) if picture.height > most else picture
    whole = Image.new("RGB", (cell, picture.height + _CAPTION), "white")
    whole.paste(picture, ((cell - picture.width) // 2, 0))
    ImageDraw.Draw(whole).text((0, picture.height + 1), shortened(text, font, cell), "black", font)
    return whole
