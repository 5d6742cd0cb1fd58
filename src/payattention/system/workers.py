"""Several items at once, their results in order: threads that wait for nobody until they are done.

A network's own threads meet after every layer, and where other work has a core, all wait for the one that was put off:
four busy neighbours make a small network six times slower. Workers that each take a picture of their own lose no more
than their share of the cores (`benchmarks/neighbours.py`), and what they compute does not depend on how many there are.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 2  # items a worker that are begun before they are asked for


def in_order(
    function: Callable[[T], R], items: Iterable[T], workers: int, begin: Callable[[], object] | None = None
) -> Generator[R]:
    """What a function makes of each item, in the items' order; only a few are under way or waiting at a time.

    Args:
        function: Is called in a worker, under the caller's context variables.
        items: Are taken by the caller.
        workers: How many; one is the caller itself.
        begin: Called once by each worker.
    """
    if workers == 1:
        yield from map(function, items)
    else:
        yield from _pooled(function, items, workers, _AHEAD * workers, begin)


def read_ahead(function: Callable[[T], R], items: Iterable[T], workers: int = 1) -> Generator[R]:
    """`in_order` in threads beside the caller, which computes meanwhile: what it needs next is there when it asks."""
    yield from _pooled(function, items, workers, 1 + _AHEAD * workers)


def _pooled(
    function: Callable[[T], R],
    items: Iterable[T],
    workers: int,
    most: int,
    begin: Callable[[], object] | None = None,
) -> Generator[R]:
    """`in_order` by a pool of threads; at most so many items are under way, waiting or being used."""
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers, initializer=begin) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(copy_context().run, function, item))
                if len(waiting) == most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def computed_in_order(function: Callable[[T], R], items: Iterable[T], device: "torch.device") -> Generator[R]:
    """`in_order` for what a network computes: on a CPU each worker has one of PyTorch's threads; a GPU has one worker.

    There is a worker more than threads, so that one whose core is taken leaves no other core idle. All compute in the
    precision that the caller does (autocast, which is a thread's own).
    """
    import torch

    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        yield from map(function, items)
        return
    reduced, dtype = torch.is_autocast_enabled(device.type), torch.get_autocast_dtype(device.type)

    def computed(item: T) -> R:
        with torch.autocast(device.type, dtype, enabled=reduced):
            return function(item)

    try:
        yield from in_order(computed, items, threads + 1, begin=lambda: torch.set_num_threads(1))
    finally:
        torch.set_num_threads(threads)  # a part of PyTorch's setting is the process's, not the thread's
