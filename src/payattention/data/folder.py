"""`folder:PATH`: pictures in `PATH/<split>/<class>/*`, or `PATH/<class>/*` (then every fifth is held out for test)."""

from pathlib import Path

import numpy as np

from payattention.data.imageset import ImageSet
from payattention.data.pictures import SUFFIXES, read_picture, to_size
from payattention.errors import DataError

_TEST_EVERY = 5


def folder(path: Path, split: str, image_size: int) -> ImageSet:
    """Reads one split; pictures are brought to `image_size` by shorter side and centre crop."""
    if not path.is_dir():
        raise DataError(f"{path}: no such folder")
    divided = (path / "train").is_dir()
    root = path / split if divided else path
    if not root.is_dir():
        raise DataError(f"{path}: has a train folder, but no {split} folder")
    classes = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    if len(classes) < 2:
        raise DataError(f"{root}: holds {len(classes)} class folders; at least 2 are needed, each with pictures")
    files, labels = [], []
    for label, name in enumerate(classes):
        found = pictures_in(root / name)
        if not divided:
            found = [f for k, f in enumerate(found) if (k % _TEST_EVERY == 0) == (split == "test")]
        files += found
        labels += [label] * len(found)
    if not files:
        raise DataError(f"{root}: no pictures in its class folders ({', '.join(sorted(SUFFIXES))})")
    images = np.stack([to_size(read_picture(file), image_size) for file in files])
    return ImageSet(f"folder:{path}", split, images, np.array(labels, np.int64), tuple(classes))


def pictures_in(path: Path) -> list[Path]:
    """The picture files of a folder, by their suffix, in order of name."""
    return sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
