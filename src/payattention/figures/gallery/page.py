"""The page: records go into one file as they come, with the style and the script that show them."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from markupsafe import Markup

from payattention import __version__
from payattention.figures.gallery.record import Record
from payattention.figures.self_contained import colours, environment, inside_html, policy, source
from payattention.pictures.drawing import STYLE
from payattention.system.files import check_new_file, replacing
from payattention.system.text import readable

_SMALL, _LARGE, _FEW = 224, 448, 200
_STYLES, _SCRIPTS = ("colours.css", "house.css", "gallery/gallery.css"), ("gallery/maps.js", "gallery/gallery.js")


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
    templates = environment()
    look, script = source(templates, *_STYLES), source(templates, *_SCRIPTS)
    parts = templates.get_template("gallery/gallery.html.j2").generate(
        policy=policy(look, script),
        style=look,
        script=script,
        title=readable(title),
        about=readable(about),
        version=__version__,
        settings=Markup(inside_html({"scale": scale, "style": style, "colours": colours()})),
        records=_as_json(records, side),
    )
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        file.writelines(parts)
    return path


def _as_json(records: Iterable[Record], side: int) -> Iterator[Markup]:
    return (Markup(record.as_json(side)) for record in records)
