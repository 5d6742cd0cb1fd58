"""A claim on a job, so that of several processes that work on one list only one takes it.

It is the operating system's lock on a file: it ends with the processes that hold it, however they end, so a claim is
never stale. The command that runs the job inherits it: should the process that started it be killed, the job stays
claimed until the command has ended, too.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def claim(file: Path) -> Iterator[int | None]:
    """Claims a job by its lock file; yields the descriptor that holds the claim, None where another process has it."""
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
