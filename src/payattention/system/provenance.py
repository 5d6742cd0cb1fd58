"""Where a number comes from: every result carries this."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

import torch

from payattention.system.invocation import command_line
from payattention.system.machine import describe

_PACKAGES = ("torch", "lightning", "numpy")


@dataclass(frozen=True)
class Provenance:
    """Command (None from Python), seed, package versions, device, and the wall time in seconds."""

    seconds: float
    device: str
    seed: int | None = None
    command: str | None = field(default_factory=command_line.get)
    versions: Mapping[str, str] = field(default_factory=lambda: _versions())
    date: str = field(default_factory=lambda: time.strftime("%Y-%m-%d", time.gmtime()))


def _versions() -> dict[str, str]:
    from payattention import __version__

    return {"payattention": __version__, **{name: version(name) for name in _PACKAGES}}


class Stopwatch:
    """Measures wall time from its making."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def provenance(self, device: torch.device, seed: int | None = None) -> Provenance:
        return Provenance(round(time.perf_counter() - self._start, 2), describe(device), seed)
