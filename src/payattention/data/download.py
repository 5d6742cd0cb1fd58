"""Fetching a set with torchvision, which checks what it fetched."""

import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from payattention.data.catalogue import CATALOGUE
from payattention.data.load import check_name, how_to_get
from payattention.data.places import data_root
from payattention.errors import DataError, UsageError


def download(name: str, root: Path | None = None, splits: Sequence[str] = ("train", "test")) -> None:
    """Fetches a set into the data root, and unpacks it; what is there already is not fetched again.

    Raises:
        UsageError: A set that torchvision cannot fetch.
        DataError: The download failed.
    """
    check_name(name)
    facts = CATALOGUE.get(name)
    if facts is None or facts.kind != "download":
        cure = how_to_get(facts, root) if facts and facts.kind == "by hand" else "it needs no download"
        raise UsageError(f"{name} cannot be downloaded: {cure}")

    from torchvision import datasets

    place = data_root(root) / facts.folder
    place.mkdir(parents=True, exist_ok=True)
    try:
        with _archives_that_stay_inside():
            match name:
                case "cifar10":
                    datasets.CIFAR10(place, download=True)
                case "cifar100":
                    datasets.CIFAR100(place, download=True)
                case "svhn":
                    for split in splits:
                        datasets.SVHN(place, split, download=True)
                case "stl10":
                    datasets.STL10(place, download=True)
                case "caltech101":  # torchvision adds a folder of the set's name itself
                    datasets.Caltech101(place.parent, download=True)
                case "caltech256":
                    datasets.Caltech256(str(place.parent), download=True)
                case "oxford_pets":
                    datasets.OxfordIIITPet(place, download=True)
    except (OSError, RuntimeError, HTTPException) as error:
        raise DataError(f"{name} could not be downloaded ({error}); {how_to_get(facts, root)}") from None


@contextmanager
def _archives_that_stay_inside() -> Iterator[None]:
    """Python 3.14's rule for unpacking, on earlier versions, too: nothing lands outside the folder (PEP 706)."""
    before = vars(tarfile.TarFile).get("extraction_filter")
    if hasattr(tarfile, "data_filter"):  # from Python 3.11.4 on
        tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)
    try:
        yield
    finally:
        tarfile.TarFile.extraction_filter = before
