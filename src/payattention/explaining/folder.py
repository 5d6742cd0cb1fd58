"""Explaining many pictures: a folder of maps and overlays, contact sheets, and a manifest of it all."""

import threading
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console

from payattention.explaining.explain import explain_picture
from payattention.explaining.inputs import check_can_explain
from payattention.models import Classifier
from payattention.models.evaluating import evaluating
from payattention.pictures.drawing import contact_sheet
from payattention.pictures.finding import Named, unreadable
from payattention.pictures.reading import read_picture
from payattention.system.files import short_stem, write_json, write_picture
from payattention.system.machine import device_of
from payattention.system.progress import Meter
from payattention.system.provenance import Stopwatch
from payattention.system.text import shown
from payattention.system.workers import computed_in_order

_ROWS = 12
_LARGE = 4_000_000  # pixels; of such pictures one is drawn at a time, so that workers do not multiply the memory
_one_large = threading.Lock()


def gallery(
    model: Classifier,
    named: Named,
    out: Path,
    *,
    size: int | None = None,
    scale: str = "own",
    strict: bool = False,
    console: Console | None = None,
) -> dict[str, Any]:
    """Explains each picture into `out`, with `sheet.png` (more if there are many) and `manifest.json`.

    A damaged picture that was named itself is an error before anything is written; one that a folder holds is
    skipped and listed, or with `strict` an error, too. So is what else a folder holds that is known and not read.

    Returns:
        The manifest; its files are named from `out`.
    """
    watch = Stopwatch()
    check_can_explain(model, size)
    skipped = unreadable(named, strict, channels=model.in_channels)
    readable = [file for file in named.files if file not in skipped]
    names = unique_names(readable)

    def written(file: Path) -> _Written:
        return _explained(model, file, out, names[file], size, scale)

    pictures: list[dict[str, Any]] = []
    sheets: list[str] = []
    rows: list[_Written] = []
    with evaluating(model, device_of(model)) as device, Meter("looking", len(readable), console, "pictures") as meter:
        for done in computed_in_order(written, readable, device):
            pictures.append(done.facts)
            rows.append(done)
            if len(rows) == _ROWS or done.file == readable[-1]:
                name = "sheet.png" if not sheets else f"sheet-{len(sheets) + 1}.png"
                panels, labels = [list(row.panels.values()) for row in rows], [row.label for row in rows]
                write_picture(out / name, contact_sheet(panels, list(done.panels), labels))
                sheets.append(name)
                rows = []
            meter.advance(1)
    manifest = {
        "model": model.name,
        "maps": list(model.levels),
        "pictures": pictures,
        "skipped": list(skipped.values()),
        "sheets": sheets,
        "provenance": asdict(watch.provenance(device)),
    }
    write_json(out / "manifest.json", manifest)
    return manifest


@dataclass(frozen=True)
class _Written:
    """What is kept of a picture whose results are written: small panels for a sheet, its label, its manifest entry."""

    file: Path
    panels: dict[str, Image.Image]
    label: str
    facts: dict[str, Any]


def _explained(model: Classifier, file: Path, out: Path, name: str, size: int | None, scale: str) -> _Written:
    """Explains a picture and writes the results."""
    picture = read_picture(file, channels=model.in_channels)
    with _one_large if picture.width * picture.height > _LARGE else nullcontext():
        explanation = explain_picture(model, picture, name, size=size, scale=scale)
        files = explanation.save(out, name)
        panels = {title: _thumbnail(panel) for title, panel in explanation.panels.items()}
    return _Written(
        file,
        panels,
        f"{shown(Path(file.name))}: {explanation.caption}",
        {
            "picture": str(file),
            "label": explanation.label,
            "probability": round(explanation.probability, 6),
            "files": files,
        },
    )


def unique_names(files: Sequence[Path]) -> dict[Path, str]:
    """A name for each file's results: its stem, numbered where several share it."""
    taken = {"manifest"}
    return {file: unique_name(file.stem, taken) for file in files}


def unique_name(stem: str, taken: set[str]) -> str:
    """The stem, short enough for a file's name and numbered if it is taken; then it is taken, too."""
    stem = short_stem(stem)
    name, number = stem, 2
    while name.lower() in taken:  # some file systems ignore case
        name, number = f"{stem}-{number}", number + 1
    taken.add(name.lower())
    return name


def _thumbnail(picture: Image.Image) -> Image.Image:
    """Small enough to keep many."""
    if max(picture.size) <= 320:
        return picture
    small = picture.copy()
    small.thumbnail((320, 320))
    return small
