"""Explaining many pictures: a folder of maps and overlays, contact sheets, and a manifest of it all."""

import re
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console

from payattention.explaining.explanation import COMBINED, Explanation
from payattention.explaining.explanations import ByClass
from payattention.explaining.levels import grid
from payattention.explaining.methods import title_of
from payattention.explaining.output_form import OutputForm
from payattention.explaining.request import Request
from payattention.explaining.sheet import Entry, Heading, Panel, pages, panel_side
from payattention.models.evaluating import evaluating
from payattention.pictures.finding import Named, unreadable
from payattention.pictures.reading import read_picture, size_in
from payattention.system.files import short_stem, write_json, write_picture
from payattention.system.machine import device_of
from payattention.system.progress import Meter
from payattention.system.provenance import Stopwatch
from payattention.system.text import shown
from payattention.system.workers import computed_in_order

_LARGE = 4_000_000  # pixels; of such pictures one is drawn at a time, so that workers do not multiply the memory
_one_large = threading.Lock()
_IN_NAMES = re.compile(r'[\x00-\x1f/\\:*?"<>|]')
"""What some file system does not take in a name, of what a class may be called."""


def write_maps(
    request: Request,
    named: Named,
    out: Path,
    *,
    form: OutputForm = OutputForm(),  # noqa: B008 (frozen)
    strict: bool = False,
    console: Console | None = None,
) -> dict[str, Any]:
    """Explains each picture into `out`: overlays and raw maps under `pictures/`, sheets beside it, `manifest.json`.

    A damaged picture that was named itself is an error before anything is written; one that a folder holds is
    left out and listed, or with `strict` an error, too. So is what else a folder holds that is known and not read.

    Returns:
        The manifest; its files are named from `out`.
    """
    watch, model = Stopwatch(), request.model
    skipped = unreadable(named, strict, channels=model.in_channels)
    readable = [file for file in named.files if file not in skipped]
    _check_hold(form, readable)
    names = unique_names(readable)
    pictures: list[dict[str, Any]] = []

    def written(file: Path) -> _Written:
        return _explained(request, file, out, names[file], form, len(readable))

    def entries() -> Iterator[Entry]:
        for done in computed_in_order(written, readable, device):
            pictures.append(done.facts)
            meter.advance(1)
            if done.entry is not None:
                yield done.entry

    with evaluating(model, device_of(model)) as device, Meter("looking", len(readable), console, "pictures") as meter:
        if "sheet" in form.parts:
            heading = Heading(f"{model.name}: {title_of(request.method)}", form.style, request.scale)
            sheets = [
                _write_sheet(out, number, page, form)
                for number, page in enumerate(pages(entries(), heading, len(readable)), 1)
            ]
        else:
            sheets = []
            deque(entries(), maxlen=0)
    manifest = {
        "model": model.name,
        "maps": list(model.levels),
        "method": request.method,
        "pictures": pictures,
        "skipped": list(skipped.values()),
        "sheets": sheets,
        "provenance": asdict(watch.provenance(device)),
    }
    write_json(out / "manifest.json", manifest)
    return manifest


def stems_of(by_class: Mapping[str, Explanation]) -> dict[str, str]:
    """What the files of each class's maps begin with, where there are several."""
    if len(by_class) == 1:
        return dict.fromkeys(by_class, "")
    taken: set[str] = set()
    return {target: f"{unique_name(_IN_NAMES.sub('_', target), taken)}." for target in by_class}


@dataclass(frozen=True)
class _Written:
    """What is kept of a picture whose results are written: what stands on a sheet, if any, and its manifest entry."""

    entry: Entry | None
    facts: dict[str, Any]


def _explained(request: Request, file: Path, out: Path, name: str, form: OutputForm, count: int) -> _Written:
    """Explains one of so many pictures and writes the results."""
    title = shown(Path(file.name))
    with alone_if_large(prod(size_in(file) or (_LARGE, 2))):
        picture = read_picture(file, channels=request.model.in_channels)
        (by_class,) = request.answered([picture], [name], [request.true_class(file)])
        prefix = f"{name}." if form.flat else f"pictures/{name}/"
        stems = stems_of(by_class)
        files = {
            f"{target} {what}".strip(): path
            for target, explanation in by_class.items()
            for what, path in explanation.write(out, f"{prefix}{stems[target]}", form.without_sheet).items()
        }
        first = next(iter(by_class.values()))
        if "sheet" not in form.parts:
            entry = None
        elif request.of_all:
            entry = _entry_of_all(by_class, title, form, count)
        else:
            entry = first.entry(title, form.style, panel_side(1 + len(first.shown), count))
    return _Written(
        entry,
        {
            "picture": str(file),
            "label": first.label,
            "probability": round(first.probability, 6),
            "true_class": first.true_class,
            "targets": list(filter(None, by_class)),
            "grids": {level: [*values.shape] for level, values in first.maps.items()},
            "notes": [*first.notes],
            "files": files,
        },
    )


def alone_if_large(pixels: int) -> AbstractContextManager[object]:
    """A context for what is made at the size of a picture of so many pixels: of large ones, one is in it at a time."""
    return _one_large if pixels > _LARGE else nullcontext()


def _entry_of_all(by_class: ByClass, title: str, form: OutputForm, count: int) -> Entry:
    """A picture with the combined map of each class that was asked for."""
    first, side = next(iter(by_class.values())), panel_side(1 + len(by_class), count)
    maps = [
        Panel(
            seen.overlay(COMBINED, form.style, side=side),
            f"{target} ({first.top[target]:.0%}), {grid(seen.joint)}{', nearly flat' * (COMBINED in seen.nearly_flat)}",
        )
        for target, seen in by_class.items()
    ]
    said = f"{first.label} ({first.probability:.0%})"
    return Entry(title, said, [first.panel(side), *maps], first.true_class, first.wrong)


def _write_sheet(out: Path, number: int, page: Image.Image, form: OutputForm) -> str:
    name = "sheet" if number == 1 else f"sheet-{number}"
    return write_picture(out / f"{name}.{form.format}", page, **form.drawing)


def _check_hold(form: OutputForm, files: Sequence[Path]) -> None:
    """Raises UsageError for a picture that the kind of files asked for cannot hold, by what its file's head says."""
    for file in files if form.bounded else ():
        if (size := size_in(file)) is not None:
            form.check_holds(shown(file), size)


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
