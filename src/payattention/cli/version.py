"""`payattention --version`: what a report of a fault ought to say."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import typer

_PACKAGES = ("torch", "torchvision", "timm", "lightning", "numpy")


def show_version(wanted: bool) -> bool:
    """Prints the versions and what the machine has, and ends the program."""
    if not wanted:
        return False
    from payattention import __version__
    from payattention.system.cores import usable_cores
    from payattention.system.machine import abilities, processor

    print(f"payattention {__version__}")
    print(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    print(", ".join(f"{name} {_version(name)}" for name in _PACKAGES))
    print(f"processor: {processor()} ({', '.join(abilities())}), {usable_cores()} usable cores")
    print(f"GPU: {_gpu()}")
    sys.stdout.flush()
    raise typer.Exit


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _gpu() -> str:
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()} (CUDA {torch.version.cuda})"
    return "MPS (untested here)" if torch.backends.mps.is_available() else "none that PyTorch can use"
