"""A picture with a line of text under it, as one cell of a contact sheet."""

from PIL import Image, ImageDraw, ImageFont

from payattention.drawing import fitted, shortened

_LINE = 18  # pixels


def captioned(picture: Image.Image, text: str, cell: int) -> Image.Image:
    """A picture over a line of text, `cell` pixels wide and at most as high."""
    font, most = ImageFont.load_default(12), cell - _LINE
    picture = fitted(picture, cell)
    picture = fitted(picture, most) if picture.height > most else picture
    whole = Image.new("RGB", (cell, picture.height + _LINE), "white")
    whole.paste(picture, ((cell - picture.width) // 2, 0))
    ImageDraw.Draw(whole).text((0, picture.height + 1), shortened(text, font, cell), "black", font)
    return whole
