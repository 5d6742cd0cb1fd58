"""What a weights file says of its network, read without PyTorch: a wrong file or a wrong wish is found at once."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from payattention.errors import CheckpointError, unknown, without_maps, without_query

WEIGHTS, CONFIG = "model.safetensors", "config.json"
KEY = "payattention"
"""Of the configuration among a safetensors file's metadata."""
_LONGEST = 100_000_000  # bytes of a safetensors header, by its specification


def weights_file(path: Path) -> Path:
    """The weights of a run folder, or the file itself.

    Raises:
        CheckpointError: There are none, or it is another kind of file.
    """
    if path.is_dir():
        if not (path / WEIGHTS).is_file():
            raise CheckpointError(f"{path}: no {WEIGHTS} in this folder; has its training finished?")
        return path / WEIGHTS
    if not path.is_file():
        raise CheckpointError(f"{path}: no such run folder or file")
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path}: not a .safetensors file (pickles are never opened: they can run code)")
    return path


def configuration(file: Path) -> dict[str, Any]:
    """The JSON configuration in a weights file.

    Raises:
        CheckpointError: Not a whole safetensors header, or not one of this package's.
    """
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            if not 2 <= length <= min(_LONGEST, file.stat().st_size - 8):
                raise ValueError("its header's length is wrong")
            text = json.loads(opened.read(length)).get("__metadata__", {}).get(KEY)
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{file}: damaged or not a safetensors file ({error})") from None
    if text is None:
        raise CheckpointError(f"{file}: no payattention configuration in its header; was it written by pa.save?")
    try:
        found = json.loads(text)
    except (ValueError, TypeError):
        found = None
    if not isinstance(found, dict):
        raise CheckpointError(f"{file}: the configuration in its header is damaged")
    return found


@dataclass(frozen=True)
class Saved:
    """What a weights file says of its network; None for what files did not say when it was written."""

    name: str
    num_classes: int | None
    classes: tuple[str, ...]
    levels: tuple[str, ...] | None
    query_dim: int | None

    def check_has_maps(self) -> None:
        """Raises UsageError for a network that is known to have no maps."""
        if self.levels is not None and not self.levels:
            raise without_maps(self.name)

    def check_has_query(self) -> None:
        """Raises UsageError for a network that is known to have no query."""
        if self.query_dim == 0:
            raise without_query(self.name)

    def check_has_level(self, level: str | None) -> None:
        """Raises UsageError for a level that the network is known not to have."""
        if level is not None and self.levels is not None and level not in self.levels:
            raise unknown(f"level of {self.name}", level, self.levels)


def saved(path: Path) -> Saved:
    """What the weights of a run folder, or a weights file, say of themselves.

    Raises:
        CheckpointError: As `weights_file` and `configuration` do.
    """
    found = configuration(weights_file(path))
    count, levels, query_dim = (found.get(name) for name in ("num_classes", "levels", "query_dim"))
    return Saved(
        name=str(found.get("name")),
        num_classes=count if isinstance(count, int) else None,
        classes=_names(found.get("classes")) or (),
        levels=_names(levels),
        query_dim=query_dim if isinstance(query_dim, int) else None,
    )


def _names(value: object) -> tuple[str, ...] | None:
    return tuple(map(str, value)) if isinstance(value, list) else None


def trained_on(folder: Path) -> str:
    """The name of the data set that a run folder was trained on."""
    config = (folder if folder.is_dir() else folder.parent) / CONFIG
    if not config.is_file():
        raise CheckpointError(f"{folder}: no {CONFIG} there that tells its data set; name one with --data")
    try:
        name: str = json.loads(config.read_text(encoding="utf-8"))["data"]["name"]
    except (ValueError, KeyError, TypeError):
        raise CheckpointError(f"{config}: does not tell the run's data set; name one with --data") from None
    return name
