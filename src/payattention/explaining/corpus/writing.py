"""Writing a corpus's folder: what is missing is computed, here or by Ray's workers, until each picture has its row."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from payattention.errors import UsageError
from payattention.explaining.corpus.computing import Pace, computed
from payattention.explaining.corpus.manifest import (
    Manifest,
    Written,
    check_rows,
    errors_in,
    read_manifest,
    remove_left,
    write_shard,
    written,
)
from payattention.explaining.corpus.plan import SHARD, Shard, digest_of, divided, fingerprint_of
from payattention.explaining.corpus.questions import Asked
from payattention.explaining.corpus.sources import Corpus
from payattention.models import Classifier
from payattention.system.claim import claim
from payattention.system.machine import device_of
from payattention.system.progress import Meter
from payattention.system.provenance import Stopwatch
from payattention.system.text import shown

_CLAIM = ".claim"


@dataclass(frozen=True)
class Work:
    """What an engine has to do.

    Attributes:
        folder: Where the shards go.
        asked: Of every picture.
        fingerprint: Of the model and what is asked.
        kind: Of the source.
        shards: Those that are missing.
        rate: At most so many pictures are read a second, in all; None for as many as can be.
    """

    folder: Path
    asked: Asked
    fingerprint: str
    kind: str
    shards: Sequence[Shard]
    rate: float | None = None


Engine = Callable[[Work, Classifier], Generator[tuple[Shard, Written]]]
"""Writes the shards of some work and yields each that is there, in any order."""


def local(work: Work, model: Classifier, pace: Pace | None = None) -> Generator[tuple[Shard, Written]]:
    """The engine that is this process, on the device and the threads that were chosen.

    Args:
        work: What is to be done.
        model: Who is asked.
        pace: Of reading, where some work went before; by default the work's own.
    """
    question = work.asked.of(model)
    with closing(computed(question, work.kind, work.shards, work.folder, pace or Pace(work.rate))) as found:
        for shard, table in found:
            yield shard, write_shard(work.folder, shard, table)


@dataclass(frozen=True)
class Outcome:
    """What a corpus's folder holds now.

    Attributes:
        manifest: The folder's.
        before: How many rows were there already.
        seconds: That the others took.
    """

    manifest: Manifest
    before: int
    seconds: float

    @property
    def rate(self) -> float:
        """Pictures a second, of those that were looked at."""
        return (self.manifest.rows - self.before) / max(self.seconds, 1e-9)


def write_corpus(
    model: Classifier,
    corpus: Corpus,
    asked: Asked,
    folder: Path,
    *,
    engine: Engine = local,
    shard_size: int | None = None,
    rate: float | None = None,
    console: Console | None = None,
) -> Outcome:
    """Asks a model of every picture of a corpus; a folder that was begun goes on with what is missing.

    Args:
        model: Who is asked.
        corpus: The pictures.
        asked: What.
        folder: Gets `shards/`, `overlays/` and `manifest.json`.
        engine: Who computes.
        shard_size: Pictures of a shard; by default as the folder was begun, else `SHARD`.
        rate: At most so many pictures are read a second; None for as many as can be.
        console: Where progress is shown.

    Raises:
        UsageError: The folder holds something else, or another process writes there; or what the model cannot be asked.
        DataError: Rows that are not the pictures, which only a changed file can be.
    """
    watch = Stopwatch()
    asked = asked.settled(model)
    if folder.is_dir() and any(folder.iterdir()) and read_manifest(folder) is None and not (folder / _CLAIM).exists():
        raise UsageError(f"{shown(folder)}: this folder is not empty; name a new one, or one that was begun so")
    with claim(folder / _CLAIM) as mine:
        if mine is None:
            raise UsageError(f"{shown(folder)}: another process writes to it; wait for that, or name another folder")
        begun = read_manifest(folder)
        size = shard_size or (SHARD if begun is None else begun.shard_size)
        fingerprint = fingerprint_of(model, asked)
        shards = divided(corpus, fingerprint, size)
        manifest = _planned(model, corpus, asked, fingerprint, size)
        if begun is not None:
            begun.check_same(manifest, folder)
        remove_left(folder)
        there = {shard.file: written(folder, shard) for shard in shards}
        manifest = replace(manifest, shards=there)
        manifest.write(folder, watch.provenance(device_of(model)))
        before, missing = manifest.rows, [shard for shard in shards if there[shard.file] is None]
        with Meter("looking", manifest.inputs, console, "pictures") as meter:
            meter.begin_at(before)
            work = Work(folder, asked, fingerprint, corpus.kind, missing, rate)
            with closing(engine(work, asked.quick(model))) as found:
                for shard, own in found:
                    there[shard.file] = own
                    meter.note = f"{manifest.inputs - manifest.rows:,} left, errors: {manifest.errors:,}"
                    meter.advance(own.rows)
        remove_left(folder)
        for shard in shards:
            check_rows(folder, shard)
        made = watch.provenance(device_of(model))
        manifest.write(folder, made)
        return Outcome(manifest, before, made.seconds)


def errors_of(folder: Path, manifest: Manifest, most: int) -> list[str]:
    """The first errors of a corpus's rows."""
    found = errors_in(folder, [file for file, own in manifest.shards.items() if own is not None and own.errors])
    return [line for line, _ in zip(found, range(most), strict=False)]


def _planned(model: Classifier, corpus: Corpus, asked: Asked, fingerprint: str, shard_size: int) -> Manifest:
    return Manifest(
        model=model.name,
        asked=asked.as_json(),
        fingerprint=fingerprint,
        source={"kind": corpus.kind, "path": shown(corpus.path)},
        inputs=len(corpus.inputs),
        digest=digest_of(one.id for one in corpus.inputs),
        shard_size=shard_size,
        shards={},
        left_out=[*corpus.left_out],
    )
