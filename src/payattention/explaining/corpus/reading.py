"""Reading a corpus's folder: its rows as tables or one by one, all of them or those that a query picks."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from payattention.errors import DataError, UsageError
from payattention.explaining.corpus.manifest import Manifest, read_manifest
from payattention.explaining.corpus.rows import Row, rows_of
from payattention.explaining.corpus.sources import Content, Corpus, contents
from payattention.system.files import at_home
from payattention.system.names import check_known
from payattention.system.text import shown

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import dataset

_BATCH = 256  # rows that are read at a time


def read_maps(folder: str | PathLike[str]) -> "CorpusRows":
    """Opens a folder that `payattention maps --engine` or `predict --engine` wrote; also while that still runs.

    Args:
        folder: What was named with `--out`.

    Returns:
        Its rows: `.table()` of Arrow, or one by one with their maps as arrays; `.where(...)` picks some.

    Raises:
        DataError: No such folder, or not of this kind.
    """
    path = at_home(Path(folder))
    manifest = read_manifest(path)
    if manifest is None:
        raise DataError(f"{shown(path)}: no folder of payattention maps --engine (it has no manifest.json)")
    return CorpusRows(path, manifest)


@dataclass(frozen=True)
class CorpusRows:
    """Rows of a corpus, read when they are asked for: a few at a time, whatever their number.

    Columns are those of `payattention.explaining.corpus.rows`.

    Attributes:
        folder: Where they lie.
        manifest: What was asked of which pictures, and how far it is.
    """

    folder: Path
    manifest: Manifest
    _filter: Any = field(default=None, repr=False)

    def __len__(self) -> int:
        return int(self._dataset.count_rows(filter=self._filter))

    def __iter__(self) -> Iterator[Row]:
        """The rows, in the source's order, their maps as float32 arrays (h, w)."""
        return self.rows()

    def rows(self, *columns: str) -> Iterator[Row]:
        """The rows with some columns alone: the maps of a million pictures are gigabytes.

        Raises:
            UsageError: An unknown column.
        """
        for batch in self._batches(columns):
            yield from rows_of(batch)

    def table(self, *columns: str) -> "pa.Table":
        """The rows as one table of Arrow; of some columns, or all.

        Raises:
            UsageError: An unknown column.
        """
        return self._dataset.to_table(columns=self._checked(columns), filter=self._filter)

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self._dataset.schema.names)

    @property
    def errors(self) -> "CorpusRows":
        """The pictures of which there is nothing, with why."""
        from pyarrow import dataset

        return self._and(dataset.field("error").is_valid())

    def where(
        self,
        *,
        label: str | None = None,
        true_class: str | None = None,
        least: float | None = None,
        most: float | None = None,
        border_least: float | None = None,
        border_most: float | None = None,
    ) -> "CorpusRows":
        """The pictures of which all of this is true; those with errors are never among them.

        Args:
            label: The predicted class.
            true_class: The class whose name the picture's folder has.
            least: The predicted class's probability is at least this, 0 to 1;
            most: at most this.
            border_least: The share of the combined map's mass in its outermost cells is at least this, 0 to 1;
            border_most: at most this.

        Raises:
            UsageError: Of maps where there are none.
        """
        from pyarrow import dataset

        found = self._and(dataset.field("error").is_null())
        for name, value in (("label", label), ("true_class", true_class)):
            if value is not None:
                found = found._and(dataset.field(name) == value)
        for name, low, high in (("probability", least, most), ("border", border_least, border_most)):
            if (low is not None or high is not None) and name not in self.columns:
                raise UsageError(f"{shown(self.folder)} has predictions without maps, which have no border")
            if low is not None:
                found = found._and(dataset.field(name) >= low)
            if high is not None:
                found = found._and(dataset.field(name) <= high)
        return found

    def spread(self, count: int) -> "CorpusRows":
        """At most so many of the rows, evenly from first to last."""
        from pyarrow import dataset

        ids = self.table("id").column("id")
        chosen = ids[:: -(-len(ids) // count) or 1]
        return self._and(dataset.field("id").isin(chosen.combine_chunks()))

    def pictures(self, ids: "set[str]") -> Iterator[tuple[str, Content]]:
        """Some of the pictures by their ids, in the source's order, as they can be decoded.

        Raises:
            DataError: The source is no longer where it was.
        """
        source = Corpus.of(Path(self.manifest.source["path"]))
        own = [one for one in source.inputs if one.id in ids]
        return ((one.id, content) for one, content in contents(source.kind, own))

    def _and(self, more: Any) -> "CorpusRows":
        return replace(self, _filter=more if self._filter is None else self._filter & more)

    def _checked(self, columns: tuple[str, ...]) -> list[str] | None:
        check_known("column", self.columns, *columns)
        return list(columns) or None

    def _batches(self, columns: tuple[str, ...]) -> "Iterator[pa.Table]":
        import pyarrow as pa

        found = self._dataset.to_batches(columns=self._checked(columns), filter=self._filter, batch_size=_BATCH)
        return (pa.Table.from_batches([batch]) for batch in found if len(batch))

    @cached_property
    def _dataset(self) -> "dataset.Dataset":
        import pyarrow as pa
        from pyarrow import dataset
        from pyarrow import parquet as pq

        files = [self.folder / name for name in self.manifest.shards if (self.folder / name).is_file()]
        if not files:
            raise DataError(f"{shown(self.folder)}: no shard is written yet")
        # a shard of nothing but errors has fewer columns
        schema = pa.unify_schemas([pq.read_schema(file).remove_metadata() for file in files])
        return dataset.dataset(files, schema=schema, format="parquet")
