"""How many pictures get what takes many forward passes: as many as are asked for, or as there is time for."""

import time
from collections.abc import Iterator
from typing import NamedTuple


class Bound(NamedTuple):
    """What is spent on all that takes many forward passes a picture: so many pictures, and about so many minutes.

    Where the time is used up sooner, there are fewer pictures; there is at least one.
    """

    pictures: int = 100
    minutes: float | None = None


def in_time(bound: Bound, count: int, at_once: int) -> Iterator[slice]:
    """The first pictures of `count`, in batches, while each batch is likely to be done in time.

    The first picture comes alone, and in any case: it tells what one costs. Batches then grow twofold.

    Args:
        bound: How many at most, and in which time, from the first batch's being asked for to the last one's end.
        count: Of the pictures.
        at_once: In a batch at most.
    """
    begun, done = time.perf_counter(), 0
    wanted = min(bound.pictures, count)
    while done < wanted:
        size = min(at_once, wanted - done)
        if bound.minutes is not None:
            spent = time.perf_counter() - begun
            left = int((60 * bound.minutes - spent) * done / spent) if done else 1
            size = min(size, max(1, done), left)
        if size <= 0:
            return
        yield slice(done, done + size)
        done += size
