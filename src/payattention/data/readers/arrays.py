"""CIFAR-10, CIFAR-100, SVHN and STL-10: sets that come as arrays, read by torchvision.

Nothing is opened before its checksum is the official one: CIFAR's files are pickles, and unpickling runs whatever
code a file holds.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from payattention.data.samples import Contents, Listing, Sample
from payattention.errors import DataError
from payattention.system.text import shown

_DIGITS = tuple(map(str, range(10)))
_STL10_CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")


def cifar(name: str, place: Path, split: str) -> Listing:
    """CIFAR-10 or CIFAR-100 as its author publishes it."""
    from torchvision import datasets

    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    official = dict((*kind.train_list, *kind.test_list))
    official[kind.meta["filename"]] = kind.meta["md5"]
    folder = place / kind.base_folder

    def contents() -> Contents:
        verify({folder / file: md5 for file, md5 in official.items()})
        read = kind(place, train=split == "train")
        return _contents(tuple(read.classes), read.data, read.targets, name)

    return Listing(folder, [folder / file for file in official], contents)


def svhn(place: Path, split: str) -> Listing:
    """SVHN's cropped digits; the label 10 is the digit 0."""
    from torchvision.datasets import SVHN

    _, file, md5 = SVHN.split_list[split]

    def contents() -> Contents:
        verify({place / file: md5})
        read = SVHN(place, split)
        return _contents(_DIGITS, read.data.transpose(0, 2, 3, 1), read.labels, "svhn")

    return Listing(place / file, [place / file], contents)


def stl10(place: Path, split: str) -> Listing:
    """STL-10's labelled images; `all` is train, then test."""
    from torchvision.datasets import STL10

    folder = place / STL10.base_folder
    official = {file: md5 for file, md5 in (*STL10.train_list, *STL10.test_list) if not file.startswith("unlabeled")}

    def contents() -> Contents:
        verify({folder / file: md5 for file, md5 in official.items()})
        splits = ("train", "test") if split == "all" else (split,)
        images, labels = zip(*(_stl10_split(folder, part) for part in splits), strict=True)
        return _contents(_STL10_CLASSES, np.concatenate(images), np.concatenate(labels), "stl10")

    return Listing(folder, [folder / file for file in official], contents)


def _stl10_split(folder: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """torchvision wants the 2.5 GB of unlabelled images to be there, too; two lines of reading do not."""
    images = np.fromfile(folder / f"{split}_X.bin", np.uint8).reshape(-1, 3, 96, 96)  # (n, channel, column, row)
    labels = np.fromfile(folder / f"{split}_y.bin", np.uint8).astype(np.int64) - 1
    return images.transpose(0, 3, 2, 1), labels


def verify(official: Mapping[Path, str]) -> None:
    """Checks files against their official MD5 sums.

    Raises:
        DataError: A file is missing or another one.
    """
    for file, md5 in official.items():
        if not file.is_file():
            raise DataError(f"{shown(file)}: no such file")
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if found != md5:
            raise DataError(
                f"{shown(file)}: not the official file (MD5 {found}, should be {md5}), so it is not opened; "
                "remove it and fetch it again"
            )


def _contents(classes: tuple[str, ...], images: NDArray[np.uint8], labels: Any, name: str) -> Contents:
    return Contents(classes, _samples(images, labels, name), len(images))


def _samples(images: NDArray[np.uint8], labels: Any, name: str) -> Iterator[Sample]:
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        yield Sample(np.ascontiguousarray(image), f"{name}, image {number}", int(label))
