"""Where a gallery's records come from: picture files, or a data set. Both are looked at while the page is written."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from rich.console import Console

from payattention.data import ImageSet
from payattention.data.same_classes import numbered_as
from payattention.data.tensors import slices_of
from payattention.errors import DataError, UsageError
from payattention.explaining.corpus.reading import CorpusRows
from payattention.explaining.explanation import COMBINED, Explanation
from payattention.explaining.methods import ATTENTION, title_of
from payattention.explaining.request import Request
from payattention.figures.gallery.page import side_for, write_gallery
from payattention.figures.gallery.record import Record
from payattention.models import Classifier
from payattention.models.evaluating import evaluating
from payattention.pictures.channels import picture_from
from payattention.pictures.drawing import STYLE
from payattention.pictures.reading import decode_picture, quiet, read_picture
from payattention.posthoc import method as posthoc
from payattention.system.machine import device_of
from payattention.system.progress import Meter, length
from payattention.system.text import shown
from payattention.system.workers import computed_in_order


def gallery_of_files(
    requests: Sequence[Request],
    files: Sequence[Path],
    path: Path,
    *,
    title: str,
    style: str = STYLE,
    console: Console | None = None,
) -> Path:
    """Writes the gallery of picture files that can be read: the records of `records_of_files`, by `write_gallery`."""
    side, first = side_for(len(files)), requests[0]
    records = records_of_files(requests, files, side, console=console)
    return write_gallery(path, records, title=title, about=first.model.name, side=side, style=style, scale=first.scale)


def gallery_of_set(
    model: Classifier,
    data: ImageSet,
    path: Path,
    *,
    title: str,
    console: Console | None = None,
) -> Path:
    """Writes the gallery of a data set: the records of `records_of_set`, by `write_gallery`."""
    side = side_for(len(data))
    records = records_of_set(requests_of(model), data, side, console=console)
    about = ", ".join(filter(None, (model.name, data.source)))
    return write_gallery(path, records, title=title, about=about, side=side)


def gallery_of_rows(rows: CorpusRows, path: Path, *, title: str, most: int = 1000) -> int:
    """Writes the gallery of a corpus's rows, or of those that a query picked (`payattention.read_maps`).

    Args:
        rows: Their pictures are read where they lay when the corpus was looked at.
        path: A new file, .html.
        title: What the page is called.
        most: At most so many pictures, evenly from all of them.

    Returns:
        How many it shows.

    Raises:
        UsageError: A file that is there already, or of another kind.
        DataError: Rows without maps, or pictures that are no longer there.
    """
    chosen = rows.where().spread(most)
    records, there = records_of_rows(chosen), list[str]()
    first = next(records, None)
    if first is None:
        raise DataError(f"{shown(rows.folder)}: no picture with maps to show")

    def counted() -> Iterator[Record]:
        for record in chain([first], records):
            there.append(record.name)
            yield record

    write_gallery(path, counted(), title=title, about=rows.manifest.model, side=side_for(len(chosen)))
    return len(there)


def records_of_rows(rows: CorpusRows) -> Iterator[Record]:
    """The records of some rows that have maps; their pictures are decoded once more."""
    found = {row.id: row for row in rows}
    target, method = rows.manifest.asked["target"], title_of(rows.manifest.asked["method"])
    method = method if target is None else f"{method} of {target}"
    with quiet:
        for name, content in rows.pictures(set(found)):
            row = found.pop(name)
            if isinstance(content, DataError) or row.label is None or row.combined is None:
                continue
            combined = {COMBINED: row.combined} if len(row.maps) > 1 else {}
            maps = {method: {**row.maps, **combined}}
            yield Record(decode_picture(content, name).picture, name, row.label, row.top, maps, row.true_class)


def requests_of(
    model: Classifier, methods: Sequence[str] = (), *, size: int | None = None, scale: str = "own"
) -> list[Request]:
    """What a model is asked for a gallery: its maps by each method.

    Args:
        model: Who is asked.
        methods: "attention", and names of `payattention.posthoc.METHODS`; by default the attention that was trained
            with Grad-CAM beside it, or what a model without attention can be explained by.
        size: The shorter side of a picture as the model sees it, in pixels; by default that of its training.
        scale: How maps become colours: a name of `payattention.pictures.drawing.SCALES`.

    Raises:
        UsageError: A method that this model cannot be explained by, or a size that it cannot take.
    """
    able = [name for name in ("grad_cam", "gradient") if posthoc(name).missing(model) is None]
    default = (ATTENTION, *able[:1]) if model.levels else (model.posthoc_method or able[0],)
    return [Request.of(model, size=size, method=method, scale=scale) for method in methods or default]


def records_of_files(
    requests: Sequence[Request], files: Sequence[Path], side: int, *, console: Console | None = None
) -> Iterator[Record]:
    """What a model says of each picture file, one after the other; only a few are held at a time.

    A picture in a folder that is called as one of the model's classes is taken for one of that class.

    Args:
        requests: What one model is asked, of one class at most.
        files: Pictures that can be read.
        side: The longer side that is kept of a picture, in pixels.
        console: Where progress is shown.

    Raises:
        UsageError: Maps of several classes are asked for.
        DataError: Maps with NaN or infinite values.
    """
    check_one_class(requests)
    model = requests[0].model

    def record(file: Path) -> Record:
        picture = read_picture(file, channels=model.in_channels)
        own = [_only(request.answered([picture], [file.stem])[0]) for request in requests]
        return Record.of(own, side, shown(file), requests[0].true_class(file))

    with evaluating(model, device_of(model)) as device, Meter("looking", len(files), console, "pictures") as meter:
        for found in computed_in_order(record, files, device):
            yield found
            meter.advance(1)


def records_of_set(
    requests: Sequence[Request], data: ImageSet, side: int, *, console: Console | None = None
) -> Iterator[Record]:
    """What a model says of each image of a set, whose classes are known, batch by batch.

    As in `payattention.evaluation.classify`, classes are found by name, and images of those that the model does not
    know are left out. Arguments and errors are those of `records_of_files`.
    """
    check_one_class(requests)
    model = requests[0].model
    data, _ = numbered_as(data, model.classes)

    def records(chosen: slice) -> tuple[slice, list[Record]]:
        pictures = [picture_from(pixels) for pixels in data.images[chosen]]
        names = [data.name_of(number) for number in range(chosen.start, chosen.stop)]
        answers = [request.answered(pictures, names) for request in requests]
        classes = model.class_names(model.config.num_classes)
        true = [classes[label] for label in data.labels[chosen]]
        return chosen, [
            Record.of([_only(of_method[k]) for of_method in answers], side, name, true[k])
            for k, name in enumerate(names)
        ]

    with evaluating(model, device_of(model)) as device, Meter("looking", len(data), console) as meter:
        for chosen, found in computed_in_order(records, slices_of(data, device), device):
            yield from found
            meter.advance(length(chosen))


def check_one_class(requests: Sequence[Request]) -> None:
    """Raises UsageError where maps of several classes are asked for."""
    if any(request.of_all for request in requests):
        raise UsageError("target 'all': a gallery shows the maps of one class; name it, or leave it to each picture")


def _only(by_class: dict[str, Explanation]) -> Explanation:
    return next(iter(by_class.values()))
