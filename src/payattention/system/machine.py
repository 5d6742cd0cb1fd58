"""What the machine at hand can do: its device, and the precision and memory layout that are fast on it."""

import platform
from pathlib import Path
from typing import Literal

import torch
from torch import nn

Precision = Literal["32-true", "bf16-mixed"]


def best_device() -> torch.device:
    """A CUDA GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def best_precision(device: torch.device) -> Precision:
    """bf16 where the hardware multiplies in it, else float32 (an emulated bf16 is many times slower)."""
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if native else "32-true"


def memory_format(model: nn.Module) -> torch.memory_format:
    """Channels-last, the faster one; but there PyTorch's convolution of a single channel can crash the process."""
    single = any(isinstance(m, nn.Conv2d) and m.in_channels == 1 for m in model.modules())
    return torch.contiguous_format if single else torch.channels_last


def describe(device: torch.device) -> str:
    """The device in words, for results: model and count."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}"
    threads = torch.get_num_threads()
    return f"{_cpu_name()}, {threads} thread{'' if threads == 1 else 's'}"


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
