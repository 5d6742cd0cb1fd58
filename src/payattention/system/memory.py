"""How much memory is free, of the device that computes or of this process, and what may be kept in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SHARE = 0.5
"""Of the free memory that data may fill; the rest is for the network, and for others."""


def fits(needed: int, device: "torch.device | None" = None) -> bool:
    """Whether so many bytes of data may stay in the memory of a device, None for the machine's own."""
    free = free_bytes(device)
    return free is None or needed <= SHARE * free


def free_bytes(device: "torch.device | None" = None) -> int | None:
    """Free memory of a GPU; or of the machine, the container and the process's own limits, whichever is least.

    None where it cannot be told.
    """
    if device is not None and device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    return min((*_of_machine(), *_of_container(), *_of_limits()), default=None)


def in_gibibytes(count: float) -> str:
    """Bytes in words: "5.0 GiB"."""
    return f"{count / 2**30:,.1f} GiB"


def _of_machine() -> Iterator[int]:
    yield from _kibibytes(Path("/proc/meminfo"), "MemAvailable")


def _of_container() -> Iterator[int]:
    """Of both kinds of Linux's control groups; files that are kept in memory only because it is free do not count."""
    for group, limit, used, idle in (
        ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            most, now = (int((Path(group) / name).read_text(encoding="utf-8")) for name in (limit, used))
            facts = dict(line.split() for line in (Path(group) / "memory.stat").read_text("utf-8").splitlines())
        except (OSError, ValueError):  # no container, or "max"
            continue
        yield max(0, most - now + int(facts.get(idle, 0)))


def _of_limits() -> Iterator[int]:
    """What `ulimit -v` and `ulimit -d` leave to this process."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for limit, used in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        most = resource.getrlimit(limit)[0]
        if most != resource.RLIM_INFINITY:
            for now in _kibibytes(Path("/proc/self/status"), used):
                yield max(0, most - now)


def _kibibytes(file: Path, field: str) -> Iterator[int]:
    """The bytes of a field of Linux's, which counts in units of 1024; nothing elsewhere."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        if line.startswith(f"{field}:"):
            yield int(line.split()[1]) * 1024
