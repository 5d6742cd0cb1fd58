"""What every benchmark does alike: it notes a busy machine, and writes what it found with where that comes from."""

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from payattention.system.cores import overload
from payattention.system.files import write_json
from payattention.system.machine import chosen_device

if TYPE_CHECKING:
    import torch

RESULTS = Path(__file__).parent.parent / "results"
RoundsOption = Annotated[int, typer.Option(min=1, help="How often what is compared takes its turn.")]
OutOption = Annotated[
    Path | None, typer.Option(help="File to write; by default the one that fills the page.", show_default=False)
]


class Measurement:
    """A measurement that runs, and the file that its result goes to.

    Args:
        name: The result's file is results/NAME.json,
        out: or this one.
        device: What computes; None for what the package would choose.
        seed: What its random numbers come from.
    """

    def __init__(
        self, name: str, out: Path | None = None, device: "torch.device | None" = None, seed: int | None = None
    ) -> None:
        from payattention.system.provenance import Stopwatch  # with PyTorch, whose memory data.py's parts do not want

        self.out, self.device, self.seed = out or RESULTS / f"{name}.json", device or chosen_device(), seed
        self._watch = Stopwatch()
        if load := overload():
            say(f"note: {load}: other work makes these times too long; measure on a machine that does nothing else")

    def write(self, result: Mapping[str, Any]) -> None:
        """Writes what is known so far, with command, seed, versions, device, date, seconds and the machine's load."""
        load = {"load_average_at_the_end": os.getloadavg()[0]} if hasattr(os, "getloadavg") else {}
        provenance = asdict(self._watch.provenance(self.device, self.seed))
        write_json(self.out, {**result, **load, "provenance": provenance})


def peak_mebibytes() -> int:
    """Of this process alone; `getrusage` would count the one that started it, too."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def say(*words: object) -> None:
    """A line of progress."""
    print(*words, file=sys.stderr, flush=True)
