"""Where data lies: `--data-root`, else the environment variable PAYATTENTION_DATA, else ~/.cache/payattention."""

import os
from pathlib import Path

VARIABLE = "PAYATTENTION_DATA"
CACHE_VARIABLE = "PAYATTENTION_CACHE"


def data_root(root: Path | None = None) -> Path:
    """The folder that holds data sets."""
    return root or Path(os.environ.get(VARIABLE) or _home())


def located(path: Path, root: Path | None = None) -> Path:
    """A data set's path: as it stands if it exists, else below the data root."""
    below = data_root(root) / path
    return below if not path.exists() and below.exists() else path


def looked_in(path: Path) -> str:
    """What to add to the message that nothing lies where `located` led."""
    return "" if path.is_absolute() else f", neither here nor in the data root (--data-root or {VARIABLE})"


def cache_root(root: Path | None = None) -> Path:
    """The folder that keeps decoded pictures.

    It is PAYATTENTION_CACHE where that is set, else `decoded` in the data root, or in ~/.cache/payattention where the
    data root is read-only.
    """
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    own = data_root(root)
    return (own if _writable(own) else _home()) / "decoded"


def _home() -> Path:
    return Path.home() / ".cache" / "payattention"


def _writable(folder: Path) -> bool:
    """Whether a folder can be written to, or made; one that nobody may write to is left alone even by root."""
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK) and bool(folder.stat().st_mode & 0o222)
