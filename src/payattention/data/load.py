"""Data sets by name: where they lie, whether they are there, and `load_data`."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console

from payattention.data.cache import cached
from payattention.data.catalogue import CATALOGUE, Facts
from payattention.data.decoding import Form
from payattention.data.imageset import ImageSet
from payattention.data.places import data_root, located, path_of
from payattention.data.readers import arrays, layouts
from payattention.data.readers.cluttered_digits import CLASSES, cluttered_digits
from payattention.data.readers.folder import folder
from payattention.data.readers.parquet import parquet, shards_of
from payattention.data.samples import Listing
from payattention.data.uncached import uncached
from payattention.errors import DataError, UsageError
from payattention.pictures.channels import check_channels, picture_from, with_channels
from payattention.pictures.reading import CROP_MODES, mask_to_size, to_size
from payattention.system.names import check_known
from payattention.system.text import shown

SPLITS = ("train", "test", "all")
"""Of a folder, and of parquet files."""
NAMES = (*CATALOGUE, "folder:PATH", "parquet:PATH")
DEFAULT_IMAGE_SIZE = 32

_FOUND: dict[str, Callable[[Path, str], Listing]] = {"folder": folder, "parquet": parquet}
_READERS: dict[str, Callable[[Path, str], Listing]] = {
    "cifar10": partial(arrays.cifar, "cifar10"),
    "cifar100": partial(arrays.cifar, "cifar100"),
    "svhn": arrays.svhn,
    "stl10": arrays.stl10,
    "caltech101": layouts.caltech101,
    "caltech256": layouts.caltech256,
    "oxford_pets": layouts.oxford_pets,
    "cub200": layouts.cub200,
    "cub200_whole": partial(layouts.cub200, crop=False),
    "event8": layouts.event8,
    "action40": layouts.action40,
    "scene67": layouts.scene67,
    "object_discovery": layouts.object_discovery,
}


def check_name(name: str) -> None:
    """Raises UsageError unless `name` is a data set's, without reading any data."""
    kind, colon, path = name.partition(":")
    if colon and kind in _FOUND:
        if not path:
            raise UsageError(f"{name!r} has no path: write {kind}:PATH")
    elif name not in CATALOGUE and (there := _as_path(name)):
        raise UsageError(f"{name!r} is not the name of a data set; for what lies there write {there}")
    else:
        check_known("data set", NAMES, name)


def _as_path(name: str) -> str:
    """How to name a data set by the path of its folder or file; "" where there is no such thing."""
    path = path_of(name)
    if path.is_dir():
        return f"{'parquet' if _has_shards(path) else 'folder'}:{name}"
    return f"parquet:{name}" if path.is_file() and path.suffix == ".parquet" else ""


def _has_shards(path: Path) -> bool:
    return any(any(path.glob(pattern)) for pattern in ("*.parquet", "data/*.parquet"))


def check_split(name: str, split: str) -> None:
    """Raises UsageError unless a data set has a split of that name."""
    check_known("split", CATALOGUE[name].counts if name in CATALOGUE else SPLITS, split)


def check_crop_mode(crop_mode: str) -> None:
    """Raises UsageError unless pictures can be made squares in that way."""
    check_known("crop mode", CROP_MODES, crop_mode)


def check_on_disk(name: str, from_disk: bool) -> None:
    """Raises UsageError for images that cannot be read from disk, since they are made in memory."""
    if from_disk and name == "cluttered_digits":
        raise UsageError(f"the images of {name} are made in memory: there is nothing to read from disk")


def load_data(
    name: str,
    split: str = "train",
    *,
    root: Path | None = None,
    image_size: int | None = None,
    crop_mode: str = "center",
    channels: int = 3,
    seed: int = 0,
    strict: bool = False,
    console: Console | None = None,
    check: Callable[[tuple[str, ...]], None] | None = None,
    from_disk: bool = False,
    cache: bool = True,
) -> ImageSet:
    """One split of a data set.

    Where its decoded images are more than half of the memory that is free, they stay on disk: `images[2:9]` reads some.

    Args:
        name: A name of `payattention.data.CATALOGUE`, "folder:PATH" or "parquet:PATH"; a relative path may also lie
            below the data root.
        split: "train" or "test", of a folder and of parquet files "all", too; named sets may have others
            (`Facts.counts`).
        root: The data root; by default as `payattention.data.places` says.
        image_size: Side of the square images in pixels; None for the set's own (32 for a folder).
        crop_mode: How pictures become squares: a name of `payattention.pictures.reading.CROP_MODES`.
        channels: 3 for RGB; 1 for grey, which colours become by their brightness; 4 for four bands (RGBA, TIFF).
        seed: Of the embedded set's generator.
        strict: Whether a bad picture is an error; else it is left out and listed in `skipped`.
        console: Where a progress bar is shown while pictures are decoded.
        check: Called with the names of the classes before pictures are decoded, to refuse them.
        from_disk: Whether the images stay on disk though there is memory for them.
        cache: Whether decoded pictures are kept on disk; else they are decoded whenever they are asked for, and one
            that cannot be read is an error then. Masks are not read.

    Raises:
        UsageError: An unknown name, split or crop mode, a size below 1, or other channels; the embedded set from disk.
        DataError: Data that is missing or damaged.
    """
    check_name(name)
    check_split(name, split)
    check_crop_mode(crop_mode)
    check_channels(channels)
    if image_size is not None and image_size < 1:
        raise UsageError(f"the image size is {image_size} pixels: it must be at least 1")
    check_on_disk(name, from_disk or not cache)
    if name == "cluttered_digits":
        return in_form(cluttered_digits(split, seed=seed), image_size, channels)
    facts = CATALOGUE.get(name)
    own = facts.size if facts else DEFAULT_IMAGE_SIZE if name.startswith("folder:") else None
    form = Form(image_size or own, crop_mode, channels)
    listing = listing_of(name, split, root)
    data = (
        cached(name, split, form, listing, root, console, check, from_disk)
        if cache
        else uncached(name, split, form, listing)
    )
    if facts:
        data = replace(data, mirror=facts.mirror, source=source_of(facts, split, data.source, len(data)))
    if strict and data.skipped:
        more = f" (and {len(data.skipped) - 1} more)" if len(data.skipped) > 1 else ""
        raise DataError(f"{name}: {data.skipped[0]}{more}")
    return data


def place_of(facts: Facts, root: Path | None = None) -> Path | None:
    """The folder that a set's archives were unpacked in; None where it is not there."""
    for base in (data_root(root) / facts.folder, data_root(root)):
        if any(base.glob(facts.marker)):
            return base
    return None


def parquet_copy(facts: Facts, root: Path | None = None) -> Path | None:
    """The folder of a set's Hugging Face copy; None where there is none."""
    folder = data_root(root) / facts.folder
    try:
        shards_of(folder, "test")
    except DataError:
        return None
    return folder


def state(facts: Facts, root: Path | None = None) -> str:
    """Whether a set is here: "ready", "ready (parquet copy)", "can be downloaded" or "to be placed by hand"."""
    if facts.kind == "embedded" or place_of(facts, root):
        return "ready"
    if parquet_copy(facts, root):
        return "ready (parquet copy)"
    return "can be downloaded" if facts.kind == "download" else "to be placed by hand"


def how_to_get(facts: Facts, root: Path | None = None) -> str:
    """What to do where a set is missing: what to fetch, where to put it, and what must then be there."""
    folder = data_root(root) / facts.folder
    fetch = f"run `payattention data {facts.name} --download`, or " if facts.kind == "download" else ""
    size = f" ({facts.megabytes:,} MB)" if facts.megabytes else ""
    return (
        f"{fetch}get {facts.get}{size}, and unpack it in {shown(folder)}, so that there is "
        f"{shown(folder / facts.marker)} (needed: {facts.layout})"
    )


def listing_of(name: str, split: str, root: Path | None = None) -> Listing:
    """Finds a split that is not embedded, before anything of it is decoded.

    Raises:
        DataError: It is not there.
    """
    facts = CATALOGUE.get(name)
    if facts is None:
        kind, _, path = name.partition(":")
        return _FOUND[kind](located(path_of(path), root), split)
    if place := place_of(facts, root):
        return _READERS[name](place, split)
    if copy := parquet_copy(facts, root):
        return parquet(copy, split)
    raise DataError(f"{name} is not in {shown(data_root(root))}: {how_to_get(facts, root)}")


def class_names(name: str, split: str, root: Path | None = None) -> tuple[str, ...] | None:
    """The names of a set's classes where they can be told at once; None where much would have to be read for them.

    Raises:
        DataError: The set is not there.
    """
    if name == "cluttered_digits":
        return CLASSES
    return listing_of(name, split, root).open().classes if ":" in name else None


def source_of(facts: Facts, split: str, source: str, count: int) -> str:
    """What a reader of results ought to know of so many images of a split of a named set."""
    notes = [source] if source else []
    if count != facts.counts[split]:
        notes.append(f"{count:,} of {facts.counts[split]:,} images")
    return ", ".join(notes)


def in_form(data: ImageSet, size: int | None, channels: int) -> ImageSet:
    """A set in memory, its images squares of a size (None: as they are) with so many channels."""
    size = size or data.image_size
    if (size, channels) == (data.image_size, data.channels):
        return data
    masks = None if data.masks is None else np.stack([mask_to_size(mask, size) for mask in data.masks])
    pictures = (with_channels(picture_from(image), channels, data.name) for image in data.images)
    return replace(data, images=np.stack([to_size(picture, size) for picture in pictures]), masks=masks)
