"""What is kept of a picture of a corpus: a row, and rows as Arrow's columns and back.

| column | what it holds |
| --- | --- |
| `id` | what the picture is called, from the source on |
| `error` | why there is nothing of it; null for a picture that was looked at, and then all other columns are null |
| `width`, `height` | of the upright picture, in pixels |
| `label`, `probability` | the predicted class |
| `true_class` | the class whose name its folder has, where there is one |
| `classes`, `probabilities` | the most probable classes, the first one first |
| `map_LEVEL` | a map on its own grid: `rows`, `columns`, `peak` (its greatest value), `values`, row by row, float16, as shares of the peak |
| `map_combined` | the levels as one, by the model's rule |
| `border` | the share of the combined map's mass in its outermost cells, 0 to 1 |
| `mask` | where the combined map, at the picture's size, exceeds Otsu's threshold: run lengths (`run_lengths`) |
| `overlay` | the file, from the folder on, of the combined map over the picture; only where overlays are asked for |

Values are shares of the peak because float16 has no numbers below 6e-8, and the maps of gradients are as small.
"""  # noqa: E501 (a table's row is a line)

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from payattention.explaining.corpus.run_lengths import mask_from
from payattention.explaining.explanation import COMBINED

if TYPE_CHECKING:
    import pyarrow as pa

_MAP = "map_"


@dataclass(frozen=True)
class Row:
    """A picture of a corpus, and what a model says of it.

    Attributes:
        id: What it is called.
        error: Why nothing is said of it; None for a picture that was looked at.
        size: Width and height in pixels.
        top: The most probable classes, the first one first, with their probabilities.
        true_class: Of the picture, where its folder has a class's name.
        maps: By level, float32 (h, w) on the level's own grid; from a shard, in float16's precision.
        combined: The levels as one, float32 (h, w); None without maps.
        border: The share of `combined` in its outermost cells; None without maps.
        counts: The mask's run lengths.
        overlay: The file of its overlay, from the corpus's folder on.
    """

    id: str
    error: str | None = None
    size: tuple[int, int] | None = None
    top: Mapping[str, float] = field(default_factory=dict)
    true_class: str | None = None
    maps: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    combined: NDArray[np.float32] | None = None
    border: float | None = None
    counts: NDArray[np.uint32] | None = None
    overlay: str | None = None

    @property
    def label(self) -> str | None:
        """The predicted class."""
        return next(iter(self.top), None)

    @property
    def probability(self) -> float | None:
        """The predicted class's."""
        return next(iter(self.top.values()), None)

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """bool (H, W), at the picture's size: where it looked most."""
        if self.counts is None or self.size is None:
            return None
        return mask_from(self.counts, self.size[1], self.size[0])


def table_of(rows: Sequence[Row]) -> "pa.Table":
    """Rows as a table, whose columns are those that any of the rows has."""
    import pyarrow as pa

    sizes = [row.size or (None, None) for row in rows]
    columns: dict[str, Any] = {
        "id": pa.array([row.id for row in rows], pa.string()),
        "error": pa.array([row.error for row in rows], pa.string()),
        "width": pa.array([size[0] for size in sizes], pa.int32()),
        "height": pa.array([size[1] for size in sizes], pa.int32()),
        "label": pa.array([row.label for row in rows], pa.string()),
        "probability": pa.array([row.probability for row in rows], pa.float32()),
        "true_class": pa.array([row.true_class for row in rows], pa.string()),
        "classes": pa.array([[*row.top] if row.top else None for row in rows], pa.list_(pa.string())),
        "probabilities": pa.array([[*row.top.values()] if row.top else None for row in rows], pa.list_(pa.float32())),
    }
    for level in dict.fromkeys(level for row in rows for level in row.maps):
        columns[f"{_MAP}{level}"] = _maps([row.maps.get(level) for row in rows])
    if any(row.maps for row in rows):
        columns[f"{_MAP}{COMBINED}"] = _maps([row.combined for row in rows])
        columns["border"] = pa.array([row.border for row in rows], pa.float32())
        columns["mask"] = _lists([row.counts for row in rows], pa.uint32())
    if any(row.overlay for row in rows):
        columns["overlay"] = pa.array([row.overlay for row in rows], pa.string())
    return pa.table(columns)


def rows_of(table: "pa.Table") -> Iterable[Row]:
    """The rows of a table, one after the other; of columns that it has not, nothing."""
    levels = [name.removeprefix(_MAP) for name in table.column_names if name.startswith(_MAP)]
    for batch in table.to_batches():
        columns = {name: batch.column(name) for name in batch.schema.names}
        for place in range(len(batch)):
            yield _row({name: column[place] for name, column in columns.items()}, levels)


def _row(values: Mapping[str, Any], levels: Sequence[str]) -> Row:
    def plain(name: str) -> Any:
        return values[name].as_py() if name in values else None

    maps = {level: _map(values[f"{_MAP}{level}"]) for level in levels}
    combined = maps.pop(COMBINED, None)
    width, height, counts = plain("width"), plain("height"), values.get("mask")
    return Row(
        id=plain("id"),
        error=plain("error"),
        size=None if width is None or height is None else (width, height),
        top=dict(zip(plain("classes") or (), plain("probabilities") or (), strict=True)),
        true_class=plain("true_class"),
        maps={level: own for level, own in maps.items() if own is not None},
        combined=combined,
        border=plain("border"),
        counts=None if counts is None or not counts.is_valid else counts.values.to_numpy(),
        overlay=plain("overlay"),
    )


def _maps(found: "Sequence[NDArray[np.float32] | None]") -> "pa.StructArray":
    import pyarrow as pa

    def numbers(of: Any, kind: "pa.DataType") -> "pa.Array":
        return pa.array([None if own is None else of(own) for own in found], kind)

    there = [None if own is None else _shares(own) for own in found]
    fields = {
        "rows": numbers(lambda own: own.shape[0], pa.int16()),
        "columns": numbers(lambda own: own.shape[1], pa.int16()),
        "peak": numbers(lambda own: own.max(), pa.float32()),
        "values": _lists(there, pa.float16()),
    }
    absent = pa.array([own is None for own in found], pa.bool_())
    return pa.StructArray.from_arrays([*fields.values()], [*fields], mask=absent)


def _shares(own: "NDArray[np.float32]") -> "NDArray[np.float16]":
    peak = own.max()
    shares: NDArray[np.float16] = (own / (peak if peak > 0 else 1)).astype(np.float16).ravel()
    return shares


def _map(value: Any) -> NDArray[np.float32] | None:
    if not value.is_valid:
        return None
    shares = value["values"].values.to_numpy().astype(np.float32)
    own: NDArray[np.float32] = shares.reshape(value["rows"].as_py(), value["columns"].as_py()) * np.float32(
        value["peak"].as_py()
    )
    return own


def _lists(found: "Sequence[NDArray[Any] | None]", kind: "pa.DataType") -> "pa.ListArray":
    """A list of numbers a row; null for None."""
    import pyarrow as pa

    ends = np.cumsum([0, *(0 if own is None else own.size for own in found)])
    values = [own for own in found if own is not None]
    return pa.ListArray.from_arrays(
        pa.array(ends, pa.int32()),
        pa.array(np.concatenate(values) if values else [], kind),
        mask=pa.array([own is None for own in found], pa.bool_()),
    )
