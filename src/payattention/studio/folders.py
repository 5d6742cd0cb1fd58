"""Many pictures at once: a folder's or a run's, as the gallery that `payattention.figures.gallery` makes of them."""

import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from payattention.errors import DataError, UsageError, none_of
from payattention.pictures.finding import looked_through, pictures_in
from payattention.system.files import at_home
from payattention.system.invocation import program
from payattention.system.text import shown

if TYPE_CHECKING:
    from payattention.data import ImageSet
    from payattention.figures.gallery import Record
    from payattention.models import Classifier

T = TypeVar("T")

Told = Callable[[int, int], object]
"""Is told how many pictures are done, of how many."""

MOST = 200
"""Pictures of one gallery."""
_AT_ONCE = 8
"""Pictures of one turn of the thread that computes: others' questions come between."""
_OFFERED, _DEEP = 300, 2


class Folders:
    """The folders of this machine whose pictures a page may show: what lies in some places, and nothing else.

    Args:
        roots: Those places.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self.roots = [at_home(root).resolve() for root in roots]

    def offered(self) -> list[str]:
        """Folders that hold pictures, or class folders that do; the nearest ones, in order of name."""
        found = (folder for root in self.roots for folder in _walked(root, _DEEP))
        return [self._called(folder) for folder in _first(found, _OFFERED) if _has_pictures(folder)]

    def folder(self, text: str) -> Path:
        """The folder of a name that was chosen or typed.

        Raises:
            UsageError: It lies elsewhere, wherever links lead.
            DataError: There is none.
        """
        if not text.strip() or "\0" in text:
            raise UsageError("choose a folder first, or type its name")
        for root in self.roots:
            try:
                place = (root / at_home(Path(text.strip()))).resolve()
            except (OSError, RuntimeError):  # a link that leads to itself
                continue
            if place.is_relative_to(root):
                if not place.is_dir():
                    raise DataError(f"{text}: no such folder in {shown(root)}")
                return place
        places = " or ".join(shown(root) for root in self.roots)
        raise UsageError(f"{text}: this page shows what lies in {places}; start it there, or with --folder")

    def _called(self, folder: Path) -> str:
        return shown(folder.relative_to(self.roots[0]) if len(self.roots) == 1 else folder)


@dataclass(frozen=True)
class Gallery:
    """A page of pictures with their maps.

    Attributes:
        html: The page, which loads nothing.
        shown: How many pictures it shows.
        found: How many there were to choose from.
        left_out: What could not be read, a line each.
        command: The command line that makes such a page of all.
    """

    html: str
    shown: int
    found: int
    left_out: tuple[str, ...]
    command: str

    @property
    def said(self) -> str:
        """How many pictures it shows, and why not more, in a sentence."""
        of = f"{self.shown:,} pictures" if self.shown == self.found else f"{self.shown:,} of {self.found:,} pictures"
        spread = ", evenly spread" if self.shown + len(self.left_out) < self.found else ""
        out = f"; {len(self.left_out):,} could not be read: {self.left_out[0]}" if self.left_out else ""
        return f"{of}{spread}{out}."


Ask = Callable[["Callable[[Classifier], Any]"], Any]
"""Has a function called with the model when it is its turn (`payattention.studio.service.Studio.computed`)."""


def gallery_of_folder(folder: Path, ask: Ask, model: Sequence[str], most: int = MOST, told: Told = max) -> Gallery:
    """The gallery of a folder's pictures, by a model's own maps and post-hoc ones.

    Args:
        folder: Is looked through to the bottom.
        ask: Reaches the model.
        model: What it is called on the command line, in words.
        most: How many pictures at most; of more, as many evenly spread ones.
        told: Hears how far it is.

    Raises:
        DataError: No pictures, or none that can be read.
    """
    files = looked_through(folder).pictures
    if not files:
        raise DataError(f"{shown(folder)}: no pictures in this folder or in the folders in it")
    chosen = _spread(files, most)
    left_out: list[str] = []

    def records() -> "Iterator[Record]":
        for start in range(0, len(chosen), _AT_ONCE):
            told(start, len(chosen))
            for file, found in ask(_looking_at(chosen[start : start + _AT_ONCE], len(chosen))):
                if isinstance(found, str):
                    left_out.append(found)
                else:
                    yield replace(found, name=shown(file.relative_to(folder)))
        told(len(chosen), len(chosen))
        if len(left_out) == len(chosen):
            raise none_of("the pictures", "read", left_out[0])

    command = shlex.join(["maps", *model, str(folder), "--html", "gallery.html"])
    page = _page(records(), shown(Path(folder.name)), " ".join(model), len(chosen))
    return Gallery(page, len(chosen) - len(left_out), len(files), tuple(left_out), f"{program()} {command}")


def gallery_of_run(run: Path, ask: Ask, most: int = MOST, told: Told = max) -> Gallery:
    """The gallery of the pictures that a run was measured on; arguments as for `gallery_of_folder`.

    Raises:
        UsageError: The run does not tell which these are.
        DataError: They are no longer there.
    """
    data = _measured_on(run, ask)
    chosen = data.chosen(_numbers(len(data), most))

    def records() -> "Iterator[Record]":
        for start in range(0, len(chosen), _AT_ONCE):
            told(start, len(chosen))
            yield from ask(_looking_at_set(chosen.chosen(slice(start, start + _AT_ONCE)), len(chosen)))
        told(len(chosen), len(chosen))

    command = f"{program()} {shlex.join(['evaluate', str(run), '--html', 'gallery.html'])}"
    page = _page(records(), f"{shown(run)}: {data.name}, {data.split}", data.source, len(chosen))
    return Gallery(page, len(chosen), len(data), data.skipped, command)


def _looking_at(files: Sequence[Path], count: int) -> "Callable[[Classifier], list[tuple[Path, Record | str]]]":
    """What is made of some files: a record each, or why there is none."""

    def look(model: "Classifier") -> "list[tuple[Path, Record | str]]":
        from payattention.figures.gallery import records_of_files, requests_of
        from payattention.figures.gallery.page import side_for

        requests = requests_of(model)
        found: list[tuple[Path, Record | str]] = []
        for file in files:
            try:
                (record,) = records_of_files(requests, [file], side_for(count))
            except DataError as error:
                found.append((file, str(error)))
            else:
                found.append((file, record))
        return found

    return look


def _looking_at_set(data: "ImageSet", count: int) -> "Callable[[Classifier], list[Record]]":
    def look(model: "Classifier") -> "list[Record]":
        from payattention.figures.gallery import records_of_set, requests_of
        from payattention.figures.gallery.page import side_for

        return list(records_of_set(requests_of(model), data, side_for(count)))

    return look


def _page(records: "Iterator[Record]", title: str, about: str, count: int) -> str:
    from payattention.figures.gallery import write_gallery
    from payattention.figures.gallery.page import side_for

    with tempfile.TemporaryDirectory() as place:
        written = write_gallery(Path(place, "gallery.html"), records, title=title, about=about, side=side_for(count))
        return written.read_text(encoding="utf-8")


def _measured_on(run: Path, ask: Ask) -> "ImageSet":
    """The test split of a run, as its model sees it."""
    from payattention.data import load_data, of_classes
    from payattention.weights.origin import origin

    own = origin(run)
    if not own.reading or own.reading.get("hold_out") is not None:
        raise UsageError(f"{shown(run)} does not tell which pictures it was measured on: choose a folder instead")
    own.check_there()
    size, crop_mode, channels = ask(lambda model: (model.image_size, model.crop_mode, model.in_channels))
    data = load_data(own.name, "test", root=own.root, image_size=size, crop_mode=crop_mode, channels=channels)
    return data if own.classes is None else of_classes(data, [name.strip() for name in own.classes.split(",")])


def _numbers(count: int, most: int) -> Any:
    import numpy as np

    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def _spread(items: Sequence[T], most: int) -> list[T]:
    return [items[number] for number in _numbers(len(items), most)]


def _walked(folder: Path, deep: int) -> Iterator[Path]:
    """A folder, and those in it, so deep; what cannot be read is passed by."""
    yield folder
    try:
        inside = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink())
    except OSError:
        return
    for entry in inside:
        if deep and not entry.name.startswith((".", "_")):
            yield from _walked(entry, deep - 1)


def _first(folders: Iterator[Path], most: int) -> Iterator[Path]:
    return (folder for _, folder in zip(range(most), folders, strict=False))


def _has_pictures(folder: Path) -> bool:
    """Whether pictures lie in a folder or in a folder in it."""
    try:
        inside = (entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        return bool(pictures_in(folder)) or any(pictures_in(entry) for entry in inside)
    except OSError:
        return False
