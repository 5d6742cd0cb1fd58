"""Pictures with the masks of their objects, each at its own size, read one by one: what segmentation is measured on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from payattention.data.catalogue import CATALOGUE, without_masks
from payattention.data.decoding import with_mask
from payattention.data.imageset import ImageSet
from payattention.data.load import check_name, check_split, listing_of, source_of
from payattention.data.parts import check_limit, in_turn
from payattention.data.readers.cluttered_digits import cluttered_digits
from payattention.data.samples import Sample
from payattention.errors import DataError, UsageError
from payattention.pictures.finding import Inside, looked_through, pictures_in
from payattention.pictures.reading import NotAMaskError, quiet
from payattention.system.machine import chosen_threads
from payattention.system.names import check_known
from payattention.system.text import shown
from payattention.system.workers import in_order

_TRIED = 5  # masks


@dataclass(frozen=True)
class MaskedPictures:
    """Some pictures that are not decoded yet.

    Attributes:
        name: What they were asked for by.
        split: Of which split they are; "" where there are none.
        classes: Class names.
        samples: In order.
        source: What a reader of results ought to know of where they come from.
        problems: What had to be left out already, a line each.
    """

    name: str
    split: str
    classes: tuple[str, ...]
    samples: Sequence[Sample]
    source: str = ""
    problems: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The pictures' classes, int64 (N,)."""
        return np.array([sample.label for sample in self.samples], np.int64)

    def chosen(self, which: NDArray[np.int64]) -> "MaskedPictures":
        """Some of the pictures, by number."""
        return replace(self, samples=[self.samples[k] for k in which])

    def limited(self, count: int) -> "MaskedPictures":
        """At most `count` pictures, as evenly from all classes as they go; always the same ones."""
        check_limit(count)
        return self.chosen(np.sort(in_turn(self.labels)[:count]))

    def of_classes(self, names: Sequence[str]) -> "MaskedPictures":
        """The pictures of some classes.

        Raises:
            UsageError: An unknown class, or one without pictures.
        """
        check_known(f"class of {self.name}", self.classes, *names)
        samples = [sample for sample in self.samples if self.classes[sample.label] in names]
        if not samples:
            raise UsageError(f"{self.name} has no picture of {', '.join(names)} in its {self.split} split")
        return replace(self, samples=samples)

    def check_all_readable(self) -> None:
        """Raises DataError if anything was left out already, or if any picture or mask cannot be read: it reads all."""
        unread = in_order(_problem, self.samples, chosen_threads())
        problems = [*self.problems, *(line for line in unread if line is not None)]
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise DataError(f"{problems[0]}{more}")


def masked_pictures(name: str, split: str = "test", root: Path | None = None) -> MaskedPictures:
    """A split of a data set that has object masks.

    Args:
        name: As for `load_data`.
        split: As for `load_data`.
        root: The data root; by default as `payattention.data.places` says.

    Raises:
        UsageError: An unknown name or split, or a set without masks.
        DataError: Data that is missing.
    """
    check_name(name)
    check_split(name, split)
    if name == "cluttered_digits":
        return of_images(cluttered_digits(split))
    facts = CATALOGUE.get(name)
    if facts and not facts.masks:
        raise without_masks(name)
    contents = listing_of(name, split, root).open()
    if not contents.masks:
        raise without_masks(name)
    source = source_of(facts, split, contents.source, contents.count) if facts else contents.source
    samples = list(contents.samples)
    _check_masks(samples, name)
    return MaskedPictures(name, split, contents.classes, samples, source, tuple(contents.problems))


def of_images(data: ImageSet) -> MaskedPictures:
    """The images of a loaded set, at the size that they have there.

    Raises:
        UsageError: A set without masks.
    """
    if data.masks is None:
        raise without_masks(data.name)
    samples = [
        Sample(image, data.name_of(number), int(label), mask)
        for number, (image, label, mask) in enumerate(zip(data.images, data.labels, data.masks, strict=True))
    ]
    return MaskedPictures(data.name, data.split, data.classes, samples, data.source)


def paired(pictures: Path, masks: Path, foreground: int | None = None) -> MaskedPictures:
    """A folder of pictures and a folder of their masks: `cat.png` is the mask of `cat.jpg`.

    The pictures lie in the folder itself, or in folders of their classes, which may hold folders; the masks lie alike,
    or all in one folder. What else lies there that is known and not read is among the problems.

    Args:
        pictures: The folder of pictures.
        masks: The folder of masks, each as large as its upright picture.
        foreground: The value of the masks' pixels on the object; by default any but 0.

    Raises:
        DataError: A folder that is missing, or without a picture, or without a mask for any of them; or photographs
            where masks should be.
    """
    for folder in (pictures, masks):
        if not folder.is_dir():
            raise DataError(f"{shown(folder)}: no such folder")
    found = {folder: _inside(folder, pictures, masks) for folder in _class_folders(pictures, masks)}
    folders = [folder for folder, inside in found.items() if inside.pictures]
    anywhere = _by_stem(masks)
    by_folder = {masks: anywhere}
    samples = []
    for label, folder in enumerate(folders):
        for picture in found[folder].pictures:
            alike = masks / picture.parent.relative_to(pictures)
            if alike not in by_folder:
                by_folder[alike] = anywhere | _by_stem(alike)
            mask = by_folder[alike].get(picture.stem, alike / f"{picture.stem}.png")  # or the file that it would be
            samples.append(Sample(picture, shown(picture), label, mask, foreground))
    if not samples:
        raise DataError(f"{shown(pictures)}: no pictures in this folder or in the folders in it")
    if not any(isinstance(sample.mask, Path) and sample.mask.is_file() for sample in samples):
        wanted = samples[0].mask
        assert isinstance(wanted, Path)
        raise DataError(
            f"{shown(masks)}: holds no mask for any of the {len(samples)} pictures; "
            f"that of {samples[0].name} would be {shown(wanted)}"
        )
    _check_masks(samples, shown(masks))
    problems = tuple(line for inside in found.values() for line in inside.left_out.values())
    classes = tuple(shown(Path(folder.name)) for folder in folders)
    return MaskedPictures(shown(pictures), "", classes, samples, problems=problems)


def _check_masks(samples: Sequence[Sample], of: str) -> None:
    """Raises DataError where the masks, by a few of them, are photographs: they would be left out one by one."""
    masked = [sample for sample in samples if isinstance(sample.mask, Path)]
    few, no_masks = masked[:: -(-len(masked) // _TRIED) or 1], []
    for sample in few:
        try:
            read_masked(sample)
        except NotAMaskError as error:
            no_masks.append(error)
        except DataError:
            continue  # each is told of when its turn comes
    if 2 * len(no_masks) > len(few):
        raise DataError(f"{of}: no masks of objects; {no_masks[0]}")


def read_masked(sample: Sample, channels: int = 3) -> tuple[Image.Image, NDArray[np.bool_]]:
    """A picture, upright, of so many channels, and its object's mask, bool (H, W), empty where there is no object.

    Raises:
        DataError: A picture or mask that is missing, damaged, or not of the other's size.
    """
    with quiet:
        return with_mask(sample, channels)


def _problem(sample: Sample) -> str | None:
    try:
        read_masked(sample)
    except DataError as error:
        return str(error)
    return None


def _class_folders(pictures: Path, masks: Path) -> list[Path]:
    """The folder itself and those in it, without that of the masks and hidden ones."""
    inside = sorted(entry for entry in pictures.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__")))
    return [pictures, *(entry for entry in inside if entry.resolve() != masks.resolve())]


def _inside(folder: Path, pictures: Path, masks: Path) -> Inside:
    """A class folder's pictures to the bottom; of the whole folder only its own."""
    return looked_through(folder, (masks, *(_class_folders(folder, masks)[1:] if folder == pictures else ())))


def _by_stem(masks: Path) -> dict[str, Path]:
    """The masks in a folder, the first of those that are called alike."""
    return {mask.stem: mask for mask in reversed(pictures_in(masks))} if masks.is_dir() else {}
