"""The memory that tensors come from: what is freed is kept for the next one, not given back to the system.

GNU's allocator asks the system for each large block anew and returns it when it is freed. The system clears a page
before it hands it over, so that a network which makes and drops hundreds of megabytes a step spends a large part of its
time on pages that it had a moment ago.
"""

import ctypes
import os
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8  # of mallopt(3)
_NEVER = 2**31 - 1
_GROWTH = 64 * 2**20  # bytes that the heap grows by
CHOSEN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "LD_PRELOAD")
"""Where one of these is set, the allocator is somebody's choice."""


def keep_freed() -> bool:
    """Lets this process keep what it frees, from now on; whether that could be arranged.

    Only GNU's allocator is told (Linux with glibc), and only where nobody chose otherwise by the environment. Meant for
    a program of its own, as the command line is: it holds for all that the process does.
    """
    if not sys.platform.startswith("linux") or any(os.environ.get(name) for name in CHOSEN):
        return False
    try:
        tell = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    # one store for all threads: else each keeps what it frees for itself, a camera's photographs three times over
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _GROWTH), (_ARENA_MAX, 1))
    return all(tell(*setting) for setting in settings)
