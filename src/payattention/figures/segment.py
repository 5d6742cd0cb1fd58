"""What a segmentation leaves behind: masks and overlays of every picture, tables, a sheet, and `result.json`."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from rich.console import Console

from payattention.data.masked import MaskedPictures
from payattention.data.same_classes import known_part
from payattention.evaluation.segment import AT_EDGES, COMBINED, REFINED, Found, Segmentation, Segmented, segment
from payattention.explaining.folder import unique_name
from payattention.models import Classifier
from payattention.pictures.drawing import contact_sheet, cut_out, overlay
from payattention.system.files import write_json, write_picture, write_table
from payattention.system.reporting import per_cent

_ROWS = 12


def write_segmentation(
    model: Classifier,
    data: MaskedPictures,
    out: Path,
    *,
    size: int | None = None,
    tune_on: MaskedPictures | None = None,
    true_class: bool = False,
    refine: bool | str = False,
    console: Console | None = None,
) -> Segmentation:
    """`payattention.evaluation.segment` into a folder.

    It gets `masks/` and `overlays/` with a picture of each, `pictures.csv` with every picture's scores, `table.csv` by
    kind of map and class, `sheet.png` of a dozen pictures, and `result.json`, which is written last.
    """
    measured, _ = known_part(data, model.classes)
    drawer = _Drawer(out, {sample.name for sample in measured.limited(_ROWS).samples})
    result = segment(
        model,
        data,
        size=size,
        tune_on=tune_on,
        true_class=true_class,
        refine=refine,
        each=drawer.draw,
        console=console,
    )
    drawer.finish()
    write_table(out / "table.csv", table(result))
    write_json(out / "result.json", result.as_json())
    return result


class _Drawer:
    """Writes each picture as it comes, and keeps what the sheet and the list of scores need."""

    def __init__(self, out: Path, on_sheet: set[str]) -> None:
        self._out, self._on_sheet = out, on_sheet
        self._taken: set[str] = set()
        self._rows: list[list[Image.Image]] = []
        self._labels: list[str] = []
        self._scores: list[Sequence[object]] = [("file", "picture", "class", "map", "jaccard", "precision")]

    def draw(self, done: Segmented) -> None:
        name = unique_name(Path(done.name).stem, self._taken)
        heat = overlay(done.picture, done.heat)
        best = next(kind for kind in (REFINED, AT_EDGES, COMBINED) if kind in done.masks)
        write_picture(self._out / "overlays" / f"{name}.png", heat)
        write_picture(self._out / "masks" / f"{name}.png", Image.fromarray(done.masks[best]))
        for kind, score in done.scores.items():
            precision = "" if score.precision is None else per_cent(score.precision, 2)
            self._scores.append((name, done.name, done.class_name, kind, per_cent(score.jaccard, 2), precision))
        if done.name in self._on_sheet:
            self._rows.append(
                [done.picture, cut_out(done.picture, done.truth), heat, cut_out(done.picture, done.masks[best])]
            )
            self._labels.append(f"{done.class_name}: Jaccard index {done.scores[best].jaccard:.0%}")

    def finish(self) -> None:
        write_table(self._out / "pictures.csv", self._scores)
        if self._rows:
            columns = ("picture", "object", "map", "found")
            write_picture(self._out / "sheet.png", contact_sheet(self._rows, columns, self._labels))


def table(result: Segmentation) -> list[Sequence[object]]:
    """A header, and a row for each kind of map and class, the first of each kind for all classes together."""
    rows: list[Sequence[object]] = [
        ("map", "class", "pictures", "jaccard", "pooled", "area", "precision", "threshold", "tuned"),
    ]
    for kind, found in result.maps.items():
        whole = (found.area, found.precision, found.threshold, found.tuned)
        rows.append((kind, "all", result.count, found.jaccard, found.pooled, *("" if x is None else x for x in whole)))
        rows += [(kind, *row, "", "", "", "") for row in _by_class(found, result)]
    return rows


def _by_class(found: Found, result: Segmentation) -> list[tuple[str, int, float, float]]:
    return [
        (name, count, found.class_jaccard[name], found.class_pooled[name])
        for name, count in result.class_counts.items()
    ]
