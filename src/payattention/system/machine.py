"""What computes, in which precision and on how many threads: chosen once, for all that is done inside.

Where nothing is chosen the rule is the same on every machine: a CUDA GPU if there is one, else the CPU. A CPU computes
in float32, whatever else its processor can do, so that a command gives the same answer everywhere; a GPU trains in bf16
and measures in float32, since the peaks of a map in bf16 are often ties.
"""

import os
import platform
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from payattention.errors import UsageError
from payattention.system.cores import default_threads
from payattention.system.names import check_known

if TYPE_CHECKING:
    import torch
    from torch import nn

Precision = Literal["float32", "bf16"]

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "bf16")
_BY_LIGHTNING: dict[str, Precision] = {"32-true": "float32", "bf16-mixed": "bf16"}


@dataclass(frozen=True)
class Choice:
    """What was asked for; "auto" and None leave it to the rule."""

    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None


_RULE = Choice()
_choice: ContextVar[Choice] = ContextVar("choice", default=_RULE)


@contextmanager
def computing(device: str = "auto", precision: str = "auto", threads: int | None = None) -> Iterator[None]:
    """Chooses what everything inside computes on, as `--device`, `--precision` and `--threads` do.

    `with pa.computing(device="cpu", precision="float32", threads=1): ...`. What is left out stays as it was outside.

    Args:
        device: "cpu"; "cuda", a GPU of NVIDIA's or AMD's; "mps", Apple's, which could not be tried here.
        precision: "float32", or "bf16": the network computes in bfloat16 by autocast, its weights stay float32.
        threads: Of the CPU's; afterwards there are as many as before.

    Raises:
        UsageError: An unknown name, no threads, or what this machine does not have.

    Warns:
        UserWarning: bf16 on a CPU that is slower in it.
    """
    with choosing(device, precision, threads):
        if precision == "bf16" and (slower := slower_in_bf16()):
            warnings.warn(slower, stacklevel=3)
        yield


@contextmanager
def choosing(device: str, precision: str, threads: int | None) -> Iterator[None]:
    """`computing` without a warning."""
    check_choice(device, precision, threads)
    outer = _choice.get()
    chosen = Choice(
        outer.device if device == "auto" else device,
        outer.precision if precision == "auto" else precision,
        outer.threads if threads is None else threads,
    )
    token = _choice.set(chosen)
    try:
        if device != "auto" or precision == "bf16":
            _check_there()
        with running_on(threads):
            yield
    finally:
        _choice.reset(token)


def check_choice(device: str, precision: str, threads: int | None) -> None:
    """Raises UsageError for what no machine has; nothing is imported for it."""
    check_known("device", DEVICES, device)
    check_known("precision", PRECISIONS, precision)
    if threads is not None and threads < 1:
        raise UsageError(f"threads is {threads}: at least 1 has to do the work")


def chosen_device() -> "torch.device":
    """The device that was chosen; by default a CUDA GPU if there is one, else the CPU."""
    import torch

    name = _choice.get().device
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def choice() -> Choice:
    """What was asked for."""
    return _choice.get()


def chosen_options(*names: str) -> list[str]:
    """What was asked for, as options of the command line for another process; of these names."""
    asked = {name: getattr(_choice.get(), name) for name in names}
    return [word for name, value in asked.items() if value not in ("auto", None) for word in (f"--{name}", str(value))]


def device_of(model: "nn.Module") -> "torch.device":
    """Where a model is to look at a picture: the device that was chosen by name, else where it is."""
    return next(model.parameters()).device if _choice.get().device == "auto" else chosen_device()


def training_precision() -> Precision:
    """The precision that was chosen; by default bf16 on a CUDA GPU that multiplies in it, else float32."""

    name = _choice.get().precision
    if name != "auto":
        return "bf16" if name == "bf16" else "float32"
    return "bf16" if chosen_device().type == "cuda" and _gpu_multiplies_in_bf16() else "float32"


def measuring_precision() -> Precision:
    """float32, unless bf16 was chosen."""
    return "bf16" if _choice.get().precision == "bf16" else "float32"


def chosen_threads() -> int:
    """How many threads there are for work that PyTorch does not do, as decoding pictures."""
    return _choice.get().threads or default_threads()


def recorded_precision(name: str) -> Precision:
    """The precision that a run's config.json names; early runs have Lightning's names."""
    return _BY_LIGHTNING.get(name) or ("bf16" if name == "bf16" else "float32")


def autocast(device: "torch.device", precision: str) -> AbstractContextManager[object]:
    """The context in which a network computes in a precision."""
    import torch

    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def slower_in_bf16() -> str | None:
    """A line where bf16 was chosen for a CPU that multiplies two matrices faster in float32; timed, in 0.1 s."""
    import torch

    if chosen_device().type != "cpu":
        return None
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.ones(512, 512, dtype=dtype)
        times: list[float] = []
        while len(times) < 3 or (sum(times) < 0.05 and len(times) < 50):
            start = time.perf_counter()
            torch.mm(a, a)
            times.append(time.perf_counter() - start)
        seconds[dtype] = min(times)
    times_slower = seconds[torch.bfloat16] / seconds[torch.float32]
    if times_slower <= 1:
        return None
    return f"bf16 is slower on this processor: a product of two matrices takes {times_slower:.1f} times as long"


def memory_format(model: "nn.Module") -> "torch.memory_format":
    """Channels-last, the faster one; but there PyTorch's convolution of a single channel can crash the process."""
    import torch
    from torch import nn

    single = any(isinstance(m, nn.Conv2d) and m.in_channels == 1 for m in model.modules())
    return torch.contiguous_format if single else torch.channels_last


def describe(device: "torch.device") -> str:
    """The device in words, for results: a GPU's name; or the processor's, what it computes with, and the threads."""
    import torch

    if device.type == "cuda":  # a plan for other machines may name one where there is none
        return torch.cuda.get_device_name(device) if torch.cuda.is_available() else "a GPU elsewhere"
    threads = torch.get_num_threads()
    return f"{processor()} ({', '.join(abilities())}), {threads} thread{'' if threads == 1 else 's'}"


def abilities() -> tuple[str, ...]:
    """The widest instructions that PyTorch uses here, as "AVX2" or "AVX512"; with AVX512 also "VNNI" and "BF16"."""
    import torch

    widest = torch.backends.cpu.get_cpu_capability().replace("DEFAULT", "no vector instructions")
    flags = set(_from_cpuinfo("flags").split()) if widest == "AVX512" else set()
    return (widest, *(name for name in ("VNNI", "BF16") if f"avx512_{name.lower()}" in flags))


def processor() -> str:
    """The processor's name."""
    return _from_cpuinfo("model name") or platform.processor() or platform.machine()


def _from_cpuinfo(field: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(field)), "")


def _check_there() -> None:
    """Raises UsageError if this machine has not the device that was chosen, or its GPU not the precision."""
    import torch

    kind = chosen_device().type
    if kind == "cuda" and not torch.cuda.is_available():
        why = "finds no GPU" if torch.version.cuda or torch.version.hip else "was built without CUDA"
        raise UsageError(f"there is no CUDA device here (PyTorch {torch.__version__} {why}): take cpu, or auto")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UsageError("there is no MPS device here (it is that of Apple's processors): take cpu, or auto")
    if kind == "cuda" and _choice.get().precision == "bf16" and not _gpu_multiplies_in_bf16():
        raise UsageError(f"{torch.cuda.get_device_name()} has no bf16 arithmetic: take float32")


def _gpu_multiplies_in_bf16() -> bool:
    import torch

    return torch.cuda.is_bf16_supported(including_emulation=False)


@contextmanager
def running_on(threads: int | None) -> Iterator[None]:
    """That many threads, then as many as before; None leaves them alone. Before PyTorch is loaded, by its variable."""
    if threads is None or "torch" not in sys.modules:
        if threads is not None:
            os.environ["OMP_NUM_THREADS"] = str(threads)  # to stay: what is loaded inside reads it once
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
