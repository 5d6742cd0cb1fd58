"""A picture with a line of text under it, as one cell of a contact sheet."""

from PIL import Image, ImageDraw, ImageFont

from payattention.drawing import fitted, shortened

_LINE = 18  # pixels


def captioned(picture: Image.Image, text: str, cell: int) -> Image.Image:
    """A picture over a line of text, `cell` pixels high, whatever the picture's proportions."""
    side, font = cell - _LINE, ImageFont.load_default(12)
    picture = fitted(picture, side)
    whole = Image.new("RGB", (side, cell), "white")
    whole.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    ImageDraw.Draw(whole).text((0, side + 1), shortened(text, font, side), "black", font)
    return whole
