"""`folder:PATH`: pictures in `PATH/<split>/<class>/*`, or `PATH/<class>/*` (then every fifth is held out for test).

Where there is no `test` folder, `val`, `valid` or `validation` stands for it. Object masks, if any, lie in
`PATH/masks`, in the same folders and under the same names as the pictures, with any picture suffix:
`PATH/masks/<split>/<class>/<name>.png`, or `PATH/masks/<class>/<name>.png`. A mask is as large as its upright
picture; any pixel but 0 is the object. A picture without a mask counts as one without an object.
"""

from dataclasses import dataclass
from pathlib import Path

from payattention.data.places import looked_in
from payattention.data.samples import Contents, Listing, Sample
from payattention.errors import DataError
from payattention.pictures.kinds import SUFFIXES
from payattention.pictures.named import pictures_in
from payattention.pictures.reading import shown

_TEST_EVERY = 5
_TEST_NAMES = ("test", "val", "valid", "validation")
_MASKS = "masks"


def folder(path: Path, split: str) -> Listing:
    """Finds the pictures of one split.

    Raises:
        DataError: No such folder, or not two classes in it.
    """
    if not path.is_dir():
        raise DataError(f"{shown(path)}: no such folder{looked_in(path)}")
    divided = (path / "train").is_dir()
    root = _split_folder(path, split) if divided else path
    every_split = [path / name for name in ("train", *_TEST_NAMES) if (path / name).is_dir()]
    found = _classes(path, every_split if divided else [path])
    _check(found, path)
    masks = _masks_of(path / _MASKS / root.name if divided else path / _MASKS)
    samples: list[Sample] = []
    problems = [line for folder, line in found.problems if folder.parent == root]
    for label, name in enumerate(found.names):
        pictures = found.pictures.get(root / name, [])
        if not divided:
            pictures = [p for k, p in enumerate(pictures) if (k % _TEST_EVERY == 0) == (split == "test")]
        if not pictures:
            problems.append(f"{shown(root / name)}: no pictures for the {split} split")
        own = masks.get(name, {})
        samples += [Sample(picture, shown(picture), label, own.get(picture.stem)) for picture in pictures]
    if not samples:
        raise DataError(f"{shown(root)}: no pictures for the {split} split in its class folders")
    classes = tuple(shown(Path(name)) for name in found.names)
    contents = Contents(classes, samples, len(samples), any(sample.mask for sample in samples), problems=problems)
    files = [file for sample in samples for file in (sample.picture, sample.mask) if isinstance(file, Path)]
    folders = [root, *(root / name for name in found.names)]  # the classes and problems depend on them
    return Listing(path, [*files, *folders], lambda: contents)


@dataclass(frozen=True)
class _Classes:
    """Names of the classes, in order; pictures by class folder; folders that had to be left out, and why."""

    names: list[str]
    pictures: dict[Path, list[Path]]
    problems: list[tuple[Path, str]]


def _classes(path: Path, roots: list[Path]) -> _Classes:
    """The class folders of all `roots`: a class keeps its number in every split, even where it has no picture."""
    names, pictures, problems = set(), {}, []
    for root in roots:
        for entry in sorted(root.iterdir()):
            if entry.name.startswith((".", "__")) or (entry == path / _MASKS and _is_masks(entry)):
                continue
            try:
                if not entry.stat() or not entry.is_dir():
                    continue
                pictures[entry] = pictures_in(entry)
            except OSError as error:  # a link that leads to itself, or a folder that must not be read
                problems.append((entry, f"{shown(entry)}: cannot be read ({error.strerror})"))
                continue
            if pictures[entry]:
                names.add(entry.name)
            else:
                problems.append((entry, f"{shown(entry)}: an empty class (no pictures in this folder)"))
    return _Classes(sorted(names), pictures, problems)


def _check(found: _Classes, path: Path) -> None:
    if found.pictures and not found.names:
        raise DataError(f"{shown(path)}: no pictures in its class folders ({', '.join(sorted(SUFFIXES))})")
    if len(found.names) < 2:
        only = f" (only {found.names[0]!r})" if found.names else ""
        raise DataError(
            f"{shown(path)}: holds {len(found.names)} class folders with pictures{only}; at least 2 are needed"
        )


def _is_masks(path: Path) -> bool:
    """Whether `masks` holds masks; else it is a class of that name."""
    return path.is_dir() and not pictures_in(path)


def _masks_of(path: Path) -> dict[str, dict[str, Path]]:
    """By class and by the picture's stem."""
    if not path.is_dir():
        return {}
    return {entry.name: {mask.stem: mask for mask in pictures_in(entry)} for entry in path.iterdir() if entry.is_dir()}


def _split_folder(path: Path, split: str) -> Path:
    names = _TEST_NAMES if split == "test" else (split,)
    for name in names:
        if (path / name).is_dir():
            return path / name
    raise DataError(f"{shown(path)}: has a train folder, but no {split} folder")
