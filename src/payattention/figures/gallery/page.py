"""The page: records go into one file as they come, with the style and the script that show them."""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from payattention import __version__
from payattention.figures.gallery.record import Record, inside_html
from payattention.pictures.drawing import STYLE, colour_table
from payattention.system.files import check_new_file, replacing
from payattention.system.text import readable

_SMALL, _LARGE, _FEW = 224, 448, 200
_STYLE, _SCRIPTS, _PAGE = "gallery.css", ("maps.js", "gallery.js"), "gallery.html.j2"


def side_for(count: int) -> int:
    """The longer side that so many pictures are kept with, in pixels: 1,000 make a file of less than 20 MB."""
    return _LARGE if count <= _FEW else _SMALL


def write_gallery(
    path: Path,
    records: Iterable[Record],
    *,
    title: str,
    about: str = "",
    side: int = _SMALL,
    style: str = STYLE,
    scale: str = "own",
) -> Path:
    """Writes a gallery, whole or not at all.

    Args:
        path: A new file, .html.
        records: Are taken one by one, and not kept.
        title: What the page is called.
        about: A line below the title.
        side: The pictures' longer side at most, in pixels.
        style: How maps are drawn at first: a name of `payattention.pictures.drawing.STYLES`.
        scale: How maps become colours: a name of `payattention.pictures.drawing.SCALES`.

    Raises:
        UsageError: A file that is there already, or of another kind.
    """
    check_new_file(path, ".html", ".htm")
    environment = Environment(loader=PackageLoader(__package__, "."), undefined=StrictUndefined, autoescape=True)
    look = _source(environment, _STYLE)
    script = Markup().join(_source(environment, name) for name in _SCRIPTS)
    parts = environment.get_template(_PAGE).generate(
        policy=_policy(look, script),
        style=look,
        script=script,
        title=readable(title),
        about=readable(about),
        version=__version__,
        settings=Markup(inside_html({"scale": scale, "style": style, "colours": _colours()})),
        records=_as_json(records, side),
    )
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        file.writelines(parts)
    return path


def _as_json(records: Iterable[Record], side: int) -> Iterator[Markup]:
    return (Markup(record.as_json(side)) for record in records)


def _source(environment: Environment, name: str) -> Markup:
    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0])


def _policy(style: str, script: str) -> str:
    """What the page may do: show the pictures in it, and use this very style and script; nothing of the network."""
    hashes = {kind: _hash(source) for kind, source in (("style-src", style), ("script-src", script))}
    allowed = "; ".join(f"{kind} '{value}'" for kind, value in hashes.items())
    return f"default-src 'none'; img-src data:; {allowed}; base-uri 'none'; form-action 'none'"


def _hash(source: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}"


def _colours() -> str:
    """The colour map of 256 steps: red, green and blue of each as bytes, in base64."""
    return base64.b64encode(colour_table().tobytes()).decode()
