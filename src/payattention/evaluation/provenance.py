"""Where a number comes from: every result carries this."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

import torch

from payattention.machine import describe

_PACKAGES = ("payattention", "torch", "lightning", "numpy")


@dataclass(frozen=True)
class Provenance:
    """Command, seed, package versions, device, and the wall time in seconds."""

    seconds: float
    device: str
    seed: int | None = None
    command: str = field(default_factory=lambda: " ".join(["payattention", *sys.argv[1:]]))
    versions: Mapping[str, str] = field(default_factory=lambda: {name: version(name) for name in _PACKAGES})
    date: str = field(default_factory=lambda: time.strftime("%Y-%m-%d", time.gmtime()))


class Stopwatch:
    """Measures wall time from its making."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def provenance(self, device: torch.device, seed: int | None = None) -> Provenance:
        return Provenance(round(time.perf_counter() - self._start, 2), describe(device), seed)
