"""Keeping other processes off a piece of work: the operating system's lock on a file.

It ends with the processes that hold it, however they end, so it is never stale. A command that is started inherits it
with the descriptor: should the process that started it be killed, the work stays claimed until the command has ended.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def claim(file: Path) -> Iterator[int | None]:
    """Claims work by its lock file; yields the descriptor that holds the claim, None where another process has it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield descriptor if _locked(descriptor) else None
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
