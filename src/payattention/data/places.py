"""Where data lies: `--data-root`, else the environment variable PAYATTENTION_DATA, else ~/.cache/payattention."""

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

from payattention.system.files import at_home
from payattention.system.text import readable

VARIABLE = "PAYATTENTION_DATA"
CACHE_VARIABLE = "PAYATTENTION_CACHE"
_URI = "file://"


def data_root(root: Path | None = None) -> Path:
    """The folder that holds data sets."""
    return at_home(root or Path(os.environ.get(VARIABLE) or _home()))


def path_of(text: str) -> Path:
    """The path of `folder:PATH` and the like: with a `~` for the home folder, or as a URI, `file:///...`."""
    if not text.startswith(_URI):
        return at_home(Path(text))
    return Path(os.fsdecode(unquote_to_bytes(text.removeprefix(_URI))))


def text_of(path: Path) -> str:
    """The text of which `path_of` makes an absolute path again: the path, or its URI where its bytes are no UTF-8."""
    return str(path) if readable(str(path)) == str(path) else path.as_uri()


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
        return at_home(Path(chosen))
    own = data_root(root)
    return (own if _writable(own) else _home()) / "decoded"


def _home() -> Path:
    return Path.home() / ".cache" / "payattention"


def _writable(folder: Path) -> bool:
    """Whether a folder can be written to, or made; one that nobody may write to is left alone even by root."""
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK) and bool(folder.stat().st_mode & 0o222)
