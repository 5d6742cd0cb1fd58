"""Explaining many pictures: a folder of maps and overlays, contact sheets, and a manifest of it all."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.progress import track

from payattention.data.folder import pictures_in
from payattention.data.pictures import read_picture
from payattention.drawing import contact_sheet
from payattention.errors import DataError
from payattention.explanation import check_can_explain, explain
from payattention.models import Classifier
from payattention.system.files import write_json, write_picture
from payattention.system.provenance import Stopwatch

_ROWS = 12


def picture_files(paths: Sequence[Path]) -> dict[Path, bool]:
    """The pictures that files and folders name, each with whether it was named itself.

    Raises:
        DataError: A missing path, or a folder without pictures.
    """
    found: dict[Path, bool] = {}
    for path in paths:
        if path.is_dir():
            inside = pictures_in(path)
            if not inside:
                raise DataError(f"{path}: no pictures in this folder")
            found.update(dict.fromkeys(inside, False) | {f: True for f in inside if f in found})
        else:
            found[path] = True
    return found


def gallery(
    model: Classifier,
    files: dict[Path, bool],
    out: Path,
    *,
    size: int | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Explains each picture into `out`, with `sheet.png` (more if there are many) and `manifest.json`.

    A damaged picture that was named itself is an error before anything is written; one that a folder holds is
    skipped and listed.

    Returns:
        The manifest; its files are named from `out`.
    """
    watch = Stopwatch()
    check_can_explain(model, size)
    skipped = unreadable(files)
    readable = [file for file in files if file not in skipped]
    pictures: list[dict[str, Any]] = []
    sheets: list[str] = []
    rows: list[list[Image.Image]] = []
    labels: list[str] = []
    names = unique_names(readable)
    for file in track(readable, "looking", console=console, disable=console is None):
        explanation = explain(model, file, size=size)
        written = explanation.save(out, names[file])
        panels = explanation.panels
        rows.append([_thumbnail(panel) for panel in panels.values()])
        labels.append(f"{file.name}: {explanation.label} ({explanation.probability:.0%})")
        pictures.append(
            {
                "picture": str(file),
                "label": explanation.label,
                "probability": round(explanation.probability, 6),
                "files": written,
            }
        )
        if len(rows) == _ROWS or file == readable[-1]:
            name = "sheet.png" if not sheets else f"sheet-{len(sheets) + 1}.png"
            write_picture(out / name, contact_sheet(rows, list(panels), labels))
            sheets.append(name)
            rows, labels = [], []
    manifest = {
        "model": model.name,
        "maps": list(model.levels),
        "pictures": pictures,
        "skipped": list(skipped.values()),
        "sheets": sheets,
        "provenance": asdict(watch.provenance(next(model.parameters()).device)),
    }
    write_json(out / "manifest.json", manifest)
    return manifest


def unreadable(files: dict[Path, bool]) -> dict[Path, str]:
    """Decodes every picture once before anything is written; the unreadable ones of folders, with why."""
    skipped: dict[Path, str] = {}
    for file, named in files.items():
        try:
            read_picture(file)
        except DataError as error:
            if named:
                raise
            skipped[file] = str(error)
    if len(skipped) == len(files):
        raise DataError(f"none of the pictures can be read: {next(iter(skipped.values()))}")
    return skipped


def unique_names(files: Sequence[Path]) -> dict[Path, str]:
    """A name for each file's results: its stem, numbered where several share it."""
    taken = {"manifest"}
    return {file: unique_name(file.stem, taken) for file in files}


def unique_name(stem: str, taken: set[str]) -> str:
    """The stem, short enough for a file's name and numbered if it is taken; then it is taken, too."""
    stem = _cut(stem)
    name, number = stem, 2
    while name.lower() in taken:  # some file systems ignore case
        name, number = f"{stem}-{number}", number + 1
    taken.add(name.lower())
    return name


def _cut(stem: str, most: int = 180) -> str:
    """A stem of at most so many bytes: the results' names are longer, and file systems take 255."""
    return stem.encode()[:most].decode(errors="ignore")


def _thumbnail(picture: Image.Image) -> Image.Image:
    """Small enough to keep many."""
    if max(picture.size) <= 320:
        return picture
    small = picture.copy()
    small.thumbnail((320, 320))
    return small
