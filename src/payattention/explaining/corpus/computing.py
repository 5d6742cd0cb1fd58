"""The rows of shards, computed: pictures are read and decoded ahead, a bounded number at a time.

On a CPU each of PyTorch's threads takes some pictures of its own, decodes them and looks at them; a GPU looks while
threads decode. Which pictures are looked at together depends on nothing but the shard: so a row is the same whoever
computes it.
"""

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from payattention.data.tensors import as_images, at_once
from payattention.errors import DataError
from payattention.explaining.corpus.plan import Shard
from payattention.explaining.corpus.questions import Question, Seen
from payattention.explaining.corpus.rows import Row, table_of
from payattention.explaining.corpus.sources import Content, Input, contents
from payattention.models.evaluating import evaluating
from payattention.pictures.reading import quiet
from payattention.system.machine import chosen_threads, device_of
from payattention.system.workers import computed_in_order, in_order

if TYPE_CHECKING:
    import pyarrow as pa

_PIECE = {"cpu": 32}
_LARGE_PIECE = 64  # elsewhere: a GPU looks at many at once
_BYTES = 16 << 20  # of pictures that do not lie in files of their own; a few pieces wait at a time


@dataclass(frozen=True)
class _Piece:
    """Some pictures of a shard that are decoded and looked at together.

    Attributes:
        shard: Theirs.
        first: The number of the first one in it.
        pictures: Each with what it is decoded from.
        last: Whether the shard ends with them.
    """

    shard: Shard
    first: int
    pictures: Sequence[tuple[Input, Content]]
    last: bool


def computed(
    question: Question, kind: str, shards: Iterable[Shard], folder: Path, pace: "Pace | None" = None
) -> "Generator[tuple[Shard, pa.Table]]":
    """The tables of some shards, in order.

    Args:
        question: What is asked of the pictures.
        kind: Of their source.
        shards: Are taken one by one.
        folder: The corpus's, for overlays.
        pace: Of reading; None for as many pictures as can be.
    """
    model, rows = question.model, list[Row]()
    decode, answer = partial(_decoded, question, folder), partial(_answered, question)

    def both(piece: _Piece) -> tuple[_Piece, list[Row]]:
        return answer(decode(piece))

    with torch.inference_mode(False), quiet, evaluating(model, device_of(model)) as device:
        pieces = _pieces(shards, kind, _PIECE.get(device.type, _LARGE_PIECE), pace or Pace(None))
        if device.type == "cpu":
            found = computed_in_order(both, pieces, device)
        else:
            found = (answer(one) for one in in_order(decode, pieces, max(2, chosen_threads())))
        with closing(found):
            for piece, own in found:
                rows += own
                if piece.last:
                    yield piece.shard, table_of(rows)
                    rows = []


class Pace:
    """At most so many pictures a second, whatever shards they are of; None for no limit."""

    def __init__(self, rate: float | None) -> None:
        self._rate, self._next = rate, time.monotonic()

    def wait(self, count: int) -> None:
        """Until that many more may be read; what was not read in time is not made up for."""
        if self._rate is None:
            return
        now = time.monotonic()
        time.sleep(max(0.0, self._next - now))
        self._next = max(self._next, now) + count / self._rate


def _pieces(shards: Iterable[Shard], kind: str, size: int, pace: Pace) -> Iterator[_Piece]:
    for shard in shards:
        pictures, first = contents(kind, shard.inputs), 0
        while own := _next(pictures, size):
            pace.wait(len(own))
            yield _Piece(shard, first, own, first + len(own) == len(shard.inputs))
            first += len(own)


def _next(pictures: Iterator[tuple[Input, Content]], most: int) -> list[tuple[Input, Content]]:
    """The next few pictures; fewer where their bytes are many."""
    own: list[tuple[Input, Content]] = []
    held = 0
    for one, content in islice(pictures, most):
        own.append((one, content))
        held += len(content) if isinstance(content, bytes) else 0
        if held > _BYTES:
            break
    return own


def _decoded(question: Question, folder: Path, piece: _Piece) -> tuple[_Piece, list[Seen | Row]]:
    """The pictures of a piece, or the rows of those that cannot be read."""
    found: list[Seen | Row] = []
    for place, (own, content) in enumerate(piece.pictures, piece.first):
        try:
            if isinstance(content, DataError):
                raise content
            found.append(question.seen(own.id, content, (folder, f"overlays/{piece.shard.name}/{place:05d}")))
        except DataError as error:
            found.append(Row(own.id, str(error)))
    return piece, found


def _answered(question: Question, decoded: tuple[_Piece, list[Seen | Row]]) -> tuple[_Piece, list[Row]]:
    """The rows of a piece: pictures that are seen at equal sizes are looked at together."""
    piece, found = decoded
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for place, one in enumerate(found):
        if isinstance(one, Seen):
            by_shape.setdefault(one.pixels.shape, []).append(place)
    rows = {place: one for place, one in enumerate(found) if isinstance(one, Row)}
    device = device_of(question.model)
    for shape, places in by_shape.items():
        count = at_once(device, *shape[:2])
        for batch in (places[start : start + count] for start in range(0, len(places), count)):
            seen = [one for one in map(found.__getitem__, batch) if isinstance(one, Seen)]
            images = as_images(np.stack([one.pixels for one in seen]), device)
            rows.update(zip(batch, question.answered(images, seen), strict=True))
    return piece, [rows[place] for place in range(len(found))]
