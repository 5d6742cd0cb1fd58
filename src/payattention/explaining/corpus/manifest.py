"""A corpus's folder: its shards, and the manifest, which tells what is asked and that each picture has one row."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from payattention.errors import DataError, UsageError
from payattention.explaining.corpus.plan import Shard, digest_of
from payattention.system.files import remove_halves, replacing, write_json
from payattention.system.text import shown

if TYPE_CHECKING:
    import pyarrow as pa

    from payattention.system.provenance import Provenance

FORMAT = 1
_FILE = "manifest.json"
_MARK = b"payattention"


@dataclass(frozen=True)
class Written:
    """A shard that is there: how many rows it has, and how many of them are errors."""

    rows: int
    errors: int


@dataclass(frozen=True)
class Manifest:
    """What a corpus's folder holds, or will.

    Attributes:
        model: What the model calls itself.
        asked: Of the model, of every picture.
        fingerprint: Of both (`plan.fingerprint_of`).
        source: Where the pictures lay when it was begun: `kind` and `path`.
        inputs: How many pictures there are.
        digest: Of their ids.
        shard_size: Pictures of a shard.
        shards: By file, what is in it; None for one that is not written.
        left_out: What the source holds and is not read, a line each.
    """

    model: str
    asked: Mapping[str, Any]
    fingerprint: str
    source: Mapping[str, str]
    inputs: int
    digest: str
    shard_size: int
    shards: Mapping[str, Written | None]
    left_out: Sequence[str] = ()

    @property
    def rows(self) -> int:
        return sum(own.rows for own in self.shards.values() if own is not None)

    @property
    def errors(self) -> int:
        return sum(own.errors for own in self.shards.values() if own is not None)

    @property
    def complete(self) -> bool:
        """Whether every picture has its row."""
        return self.rows == self.inputs and None not in self.shards.values()

    def write(self, folder: Path, provenance: "Provenance") -> None:
        """Writes it into the folder, in place of one that is there."""
        facts = {"corpus": FORMAT, "complete": self.complete, "rows": self.rows, "errors": self.errors, **asdict(self)}
        write_json(folder / _FILE, {**facts, "provenance": asdict(provenance)})

    def check_same(self, other: "Manifest", folder: Path) -> None:
        """Raises UsageError where this one, of the folder, was begun with another model, question or source."""
        place = f"{shown(folder)} was begun"
        another = UsageError(f"{place} with another model: take that one ({self.model}), or name another folder")
        if self.model != other.model:  # whose size, perhaps, is another, too
            raise another
        for name, value in self.asked.items():
            if (wanted := other.asked.get(name)) != value:
                if name == "style" and None in (value, wanted):
                    have = "without" if value is None else "with"
                    raise UsageError(f"{place} {have} --overlays: ask the same, or name another folder")
                raise UsageError(f"{place} with {name} {value}, not {wanted}: ask the same, or name another folder")
        if self.fingerprint != other.fingerprint:
            raise another
        if self.shard_size != other.shard_size:
            raise UsageError(f"{place} with --shard-size {self.shard_size}: leave it so, or name another folder")
        if (self.inputs, self.digest) != (other.inputs, other.digest):
            raise UsageError(
                f"{place} on {self.inputs:,} pictures, and the source has {other.inputs:,} now, by other names or in "
                "another order: name another folder"
            )


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a corpus's folder; None where there is none.

    Raises:
        DataError: Another's, damaged, or of another version.
    """
    file = folder / _FILE
    if not file.is_file():
        return None
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        if facts.get("corpus") != FORMAT:
            raise DataError(f"{shown(file)}: not of a corpus of this version of payattention")
        shards = {name: None if own is None else Written(**own) for name, own in facts["shards"].items()}
        names = Manifest.__dataclass_fields__.keys()
        return Manifest(**{**{name: facts[name] for name in names}, "shards": shards})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{shown(file)}: not a manifest of payattention ({error})") from None


def write_shard(folder: Path, shard: Shard, table: "pa.Table") -> Written:
    """Writes a shard, whole or not at all; who writes it once more replaces it by the same."""
    import pyarrow.parquet as pq

    marked = table.replace_schema_metadata({_MARK: shard.digest.encode()})
    with replacing(folder / shard.file) as partial:
        pq.write_table(marked, partial, compression="zstd")
    return Written(len(table), len(table) - table.column("error").null_count)


def written(folder: Path, shard: Shard) -> Written | None:
    """What is there of a shard; None where it is missing, or not whole (the machine, not the program, went down)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = folder / shard.file
    if not file.is_file():
        return None
    try:
        parquet = pq.ParquetFile(file)
        errors = parquet.read(["error"]).column("error")
    except (pa.ArrowException, OSError):
        return None
    marked = (parquet.schema_arrow.metadata or {}).get(_MARK) == shard.digest.encode()
    whole = marked and len(errors) == len(shard.inputs)
    return Written(len(errors), len(errors) - errors.null_count) if whole else None


def check_rows(folder: Path, shard: Shard) -> None:
    """Raises DataError unless a shard's rows are its pictures, each once and in order."""
    import pyarrow.parquet as pq

    ids = pq.read_table(folder / shard.file, columns=["id"]).column("id").to_pylist()
    if digest_of(ids) != shard.digest:
        raise DataError(f"{shown(folder / shard.file)}: its rows are not its pictures; remove it, and start again")


def errors_in(folder: Path, files: Sequence[str]) -> Iterator[str]:
    """The errors of the rows of some shards, in order."""
    import pyarrow.parquet as pq

    for file in files:
        column = pq.read_table(folder / file, columns=["error"]).column("error")
        yield from column.drop_null().to_pylist()


def remove_left(folder: Path) -> None:
    """Removes what a process that was killed had half written."""
    for place in (folder, folder / "shards", *(folder / "overlays").glob("*")):
        remove_halves(place)
