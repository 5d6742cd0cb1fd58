"""Where the data of a run lay, and whether what lies there now is still the same."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from payattention.errors import CheckpointError, DataError
from payattention.weights.header import CONFIG

if TYPE_CHECKING:
    from payattention.data import ImageSet


@dataclass(frozen=True)
class Origin:
    """What a run's config.json says of the data that it was trained and measured on.

    Attributes:
        run: The run.
        name: The data set, as it can be read again from any folder: its path is absolute.
        root: The data root; None for the one of this machine.
        classes: The classes that were chosen, with commas between; None for all.
        limit: At most so many images of a split; None for all.
        found: What was found there: counts and checksums.
        reading: How it was asked for, to read it again; empty where only Python knows.
    """

    run: Path
    name: str
    root: Path | None = None
    classes: str | None = None
    limit: int | None = None
    found: Mapping[str, Any] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)

    def check_there(self) -> None:
        """Raises DataError where nothing lies any more at a path that the run was trained on."""
        from payattention.data.places import path_of

        kind, colon, path = self.name.partition(":")
        place = path_of(path)
        if colon and place.is_absolute() and not place.exists():
            raise DataError(
                f"{place}: no longer there; {self.run} was trained on it: say where it lies now, --data {kind}:PATH"
            )

    def difference(self, images: "ImageSet", classes: str | None, limit: int | None) -> str:
        """How a split that was read again differs from what the run was measured on, in one line; "" if not at all.

        Only what was read as the run read it can be compared: the same split, classes and limit.
        """
        split, checksums = images.split, self.found.get("checksums", {})
        if (classes, limit) != (self.classes, self.limit) or split not in (*checksums, self.found.get("measured_on")):
            return ""
        then, now = self.found["test" if split == self.found.get("measured_on") else "train"], len(images)
        if then != now:
            return f"{then:,} images of {split} then, {now:,} now"
        return (
            f"other pictures or labels of {split}" if checksums.get(split, images.checksum) != images.checksum else ""
        )


def origin(run: Path) -> Origin:
    """Where the data of a run folder, or of a weights file in one, lay.

    Raises:
        CheckpointError: There is no config.json, or it does not tell.
    """
    from payattention.data.places import path_of

    file = (run if run.is_dir() else run.parent) / CONFIG
    if not file.is_file():
        raise CheckpointError(f"{run}: no {CONFIG} there that tells its data set; name one with --data")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        found, reading = dict(config["data"]), dict(config.get("reading") or {})
        name = reading.get("name", found["name"])
        if not isinstance(name, str):
            raise TypeError("a data set has a name")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(f"{file}: does not tell the run's data set; name one with --data") from None
    root, classes, limit = (reading.get(key) for key in ("root", "classes", "limit"))
    return Origin(run, name, path_of(root) if isinstance(root, str) else None, classes, limit, found, reading)
