"""Data sets by name."""

from dataclasses import replace
from pathlib import Path

from payattention.data.cluttered_digits import cluttered_digits
from payattention.data.folder import folder
from payattention.data.imageset import ImageSet
from payattention.data.parquet import parquet
from payattention.data.root import located
from payattention.errors import UsageError, unknown

SPLITS = ("train", "test")
NAMES = ("cluttered_digits", "folder:PATH", "parquet:PATH")
DEFAULT_IMAGE_SIZE = 32


def check_name(name: str) -> None:
    """Raises UsageError unless `name` is a data set's, without reading any data."""
    kind, colon, path = name.partition(":")
    if colon and kind in ("folder", "parquet"):
        if not path:
            raise UsageError(f"{name!r} has no path: write {kind}:PATH")
    elif name not in NAMES or "PATH" in name:
        raise unknown("data set", name, NAMES)


def load_data(
    name: str,
    split: str = "train",
    *,
    root: Path | None = None,
    image_size: int | None = None,
    seed: int = 0,
) -> ImageSet:
    """One split of a data set.

    Args:
        name: "cluttered_digits", "folder:PATH" or "parquet:PATH"; a relative path may also lie below the data root.
        split: "train" or "test".
        root: The data root; by default as `payattention.data.root` says.
        image_size: Side of the square images in pixels; None for the set's own (32 for a folder).
        seed: Of the embedded set's generator.

    Raises:
        UsageError: An unknown name or split.
        DataError: Data that is missing or damaged.
    """
    check_name(name)
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if name == "cluttered_digits":
        return cluttered_digits(split, seed=seed)
    kind, _, path = name.partition(":")
    place = located(Path(path), root)
    if kind == "folder":
        return replace(folder(place, split, image_size or DEFAULT_IMAGE_SIZE), name=name)
    return replace(parquet(place, split, image_size), name=name)
