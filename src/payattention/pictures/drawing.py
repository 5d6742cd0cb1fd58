"""Drawing maps: overlays at a picture's own size, and contact sheets."""

from collections.abc import Callable, Sequence

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

_CONTOURS = (0.25, 0.5, 0.75)
_CAPTION = 18  # pixels, of a line of text
_Heat = NDArray[np.float32]  # (H, W), 0 ... 1


def check_scale(scale: str) -> None:
    """Raises UsageError unless maps can become colours in that way."""
    check_known("scale", SCALES, scale)


def coloured(heat: _Heat, colours: str = COLOUR_MAP) -> Image.Image:
    """A map as a picture of its own size."""
    from matplotlib import colormaps

    return Image.fromarray((colormaps[colours](heat)[..., :3] * 255).round().astype(np.uint8))


def overlay(picture: Image.Image, heat: _Heat, strength: float = 0.6, colours: str = COLOUR_MAP) -> Image.Image:
    """A map of the picture's size laid over the picture, which is greyed so that colour means the map alone."""
    grey = picture.convert("L").convert("RGB")
    return Image.blend(grey, coloured(heat, colours), strength)


def dimmed(picture: Image.Image, heat: _Heat, strength: float = 0.6) -> Image.Image:
    """A picture that is dark where a map of its size is low."""
    kept = 1 - strength * (1 - heat[..., None])
    return Image.fromarray((np.asarray(picture.convert("RGB")) * kept).round().astype(np.uint8))


def contoured(picture: Image.Image, heat: _Heat, strength: float = 0.6) -> Image.Image:
    """A picture with lines about what lies above a quarter, a half and three quarters of a map of its size."""
    from matplotlib import colormaps
    from skimage.measure import find_contours

    drawn, width = picture.copy(), max(1, round(max(picture.size) / 160))
    pen = ImageDraw.Draw(drawn)
    framed = np.pad(heat, 1)  # else what reaches the border is left open
    for level in _CONTOURS:
        red, green, blue, _ = colormaps[COLOUR_MAP](level, bytes=True)
        for line in find_contours(framed, level):
            points = [(float(x) - 1, float(y) - 1) for y, x in line]
            pen.line(points, "white", width + 2)  # to be seen on any ground
            pen.line(points, (int(red), int(green), int(blue)), width)
    return Image.blend(picture, drawn, strength)


STYLES: Registry[Callable[[Image.Image, _Heat, float], Image.Image]] = Registry(
    "style",
    {
        "heat": overlay,
        "dim": dimmed,
        "contour": contoured,
    },
)
"""Ways to lay a map of a picture's size over it; the number is the strength, 0 ... 1."""


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
    while font.getlength(text) > width:
        text = text[:-4] + "..."
    return text


def captioned(picture: Image.Image, text: str, cell: int) -> Image.Image:
    """A picture over a line of text, `cell` pixels wide and at most as high."""
    font, most = ImageFont.load_default(12), cell - _CAPTION
    picture = fitted(picture, cell)
    picture = fitted(picture, most) if picture.height > most else picture
    whole = Image.new("RGB", (cell, picture.height + _CAPTION), "white")
    whole.paste(picture, ((cell - picture.width) // 2, 0))
    ImageDraw.Draw(whole).text((0, picture.height + 1), shortened(text, font, cell), "black", font)
    return whole
