"""The processor's cores: how many this process may use, who else is at them, and how its threads wait for each other.

Nothing here imports PyTorch: the OpenMP runtime that does its work reads its settings once, when PyTorch is loaded, so
that they must stand before.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from payattention.system.processes import here

_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
_SPINS = "1000"  # looks at a barrier before sleep, some tens of microseconds
_THREADS = "OMP_NUM_THREADS"
_BUSY = 1.5  # load a core, averaged over a minute; the program's own last command leaves one
_CGROUPS = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """The cores that this process's affinity and its container's quota leave it, at least 1."""
    return max(1, int(min(_allowed(), cpu_quota())))


def cpu_quota(of: Path = Path("/proc/self/cgroup"), root: Path = _CGROUPS) -> float:
    """The processor time that a cgroup allows, in cores; infinity where none is set."""
    try:
        lines = of.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return float("inf")
    return min(_quotas(lines, root), default=float("inf"))


def _quotas(lines: list[str], root: Path) -> Iterator[float]:
    """Of each group that holds this process, and of those around it."""
    for _, controllers, path in (line.split(":", 2) for line in lines):
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "cpu" if controllers else root  # version 1 names its controllers, version 2 none
        place = top / path.lstrip("/")
        for group in (place, *place.parents):
            if not group.is_relative_to(top):
                break
            yield from _quota(group)


def _quota(group: Path) -> Iterator[float]:
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota, period = " ".join((group / name).read_text(encoding="utf-8") for name in names).split()
            if quota not in ("max", "-1"):
                yield int(quota) / int(period)
        except (OSError, ValueError):
            continue


def default_threads() -> int:
    """Threads of a process that was not told how many: `OMP_NUM_THREADS`, else one for each core that it may use.

    But one where several processes work together, which have a core each at best.
    """
    told = os.environ.get(_THREADS, "")
    return int(told) if told.isdigit() and int(told) else 1 if here().count > 1 else usable_cores()


def are_to_be_set() -> bool:
    """Whether the OpenMP runtime would take more threads by itself: it knows neither quotas nor other processes.

    A thread beyond a quota is halted in the middle of its work, and the others wait.
    """
    return not os.environ.get(_THREADS) and default_threads() < _allowed()


def overload() -> str | None:
    """How much work is at the cores, where it is more than a command leaves behind; None on a quiet machine."""
    if not hasattr(os, "getloadavg"):
        return None
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    return f"load {load:.0f} on {cores} cores" if load > _BUSY * cores else None


def busy(threads: int) -> str | None:
    """A line where other work is at the cores that these threads want; None on a quiet machine, and for one thread."""
    load = overload() if threads > 1 else None
    return f"{load}: --threads 1 may be faster" if load else None


def wait_briefly() -> None:
    """Lets threads that wait for each other sleep soon, if PyTorch is not loaded yet and nobody chose otherwise.

    GNU's OpenMP runtime spins at its barriers, for milliseconds. Where other work has one of the cores, the thread that
    waits so takes the time that the thread it waits for needs. Not to spin at all would cost on a quiet machine, where
    a layer's wait is shorter than falling asleep and waking up (`benchmarks/neighbours.py`).
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in _WAITING):
        os.environ["GOMP_SPINCOUNT"] = _SPINS


def _allowed() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
