"""One HTML file that needs no other: style, script and pictures lie in it, and its policy forbids everything else."""

import base64
import hashlib
import io
import json
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from payattention.pictures.drawing import colour_table
from payattention.system.text import readable

_EXACT = 64  # pixels; a smaller picture is kept as it is, since compression would blur what little there is
_QUALITY = 80


def environment() -> Environment:
    """What fills the templates of `payattention.figures`; they are named by their paths there."""
    return Environment(
        loader=PackageLoader(__package__, "."),
        undefined=StrictUndefined,
        autoescape=lambda name: name is not None and ".html" in name,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def source(templates: Environment, *names: str) -> Markup:
    """The text of style sheets or of scripts, one after the other."""
    assert templates.loader is not None
    return Markup().join(Markup(templates.loader.get_source(templates, name)[0]) for name in names)


def policy(style: str, script: str | None = None) -> str:
    """What a page may do: show the pictures in it, and use this very style and script; nothing of the network."""
    hashes = {kind: _hash(text) for kind, text in (("style-src", style), ("script-src", script)) if text is not None}
    allowed = "; ".join(f"{kind} '{value}'" for kind, value in hashes.items())
    return f"default-src 'none'; img-src data:; {allowed}; base-uri 'none'; form-action 'none'"


def data_uri(picture: Image.Image) -> str:
    """A picture as the page holds it."""
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=_QUALITY, lossless=max(picture.size) <= _EXACT)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def inside_html(value: Any) -> str:
    """A value as JSON that no parser of HTML takes for a tag or an end of a script.

    Raises:
        ValueError: It holds NaN or an infinite number, which JSON has not.
    """
    text = readable(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def colours() -> str:
    """The colour map of 256 steps as a page holds it: red, green and blue of each as bytes, in base64."""
    return base64.b64encode(colour_table().tobytes()).decode()


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
