"""`folder:PATH`: pictures in `PATH/<split>/<class>/*`, or `PATH/<class>/*` (then every fifth is held out for test).

A class folder may hold folders. What it holds that is known and not read (a video, a camera's raw file) is listed.

The splits are `train` or `training`, and `test`, `testing`, `val`, `valid` or `validation`, capitals or not; the first
that is there counts. The classes are those of `train`: what else `test` holds is left out and listed.

Object masks, if any, lie in `PATH/masks`, in the same folders and under the same names as the pictures, with any
picture suffix: `PATH/masks/<split>/<class>/<name>.png`, or `PATH/masks/<class>/<name>.png`. A mask is as large as its
upright picture; any pixel but 0 is the object. A picture without a mask counts as one without an object.
"""

from dataclasses import dataclass
from pathlib import Path

from payattention.data.places import looked_in
from payattention.data.samples import Contents, Listing, Sample
from payattention.errors import DataError
from payattention.pictures.finding import Inside, looked_through, pictures_in
from payattention.pictures.kinds import SUFFIXES
from payattention.system.text import shown

_TEST_EVERY = 5
_SPLITS = {"train": ("train", "training"), "test": ("test", "testing", "val", "valid", "validation")}
"""What the folders of the splits are called, the first that is there; capitals do not matter."""
_MASKS = "masks"


def folder(path: Path, split: str) -> Listing:
    """Finds the pictures of one split.

    Raises:
        DataError: No such folder, or not two classes in it.
    """
    if not path.is_dir():
        raise DataError(f"{shown(path)}: no such folder{looked_in(path)}")
    train = _named_as(path, "train")
    divided = train is not None
    root = _split_folder(path, split) if divided else path
    found = _classes(path, [train or path])
    if root not in (train, path):
        test = _classes(path, [root])
        found = _with_test(found, test) if found.names else test
    _check(found, path)
    masks = _masks_of(path / _MASKS / root.name if divided else path / _MASKS)
    samples: list[Sample] = []
    problems = [line for folder, line in found.problems if folder.parent == root]
    problems += [f"{shown(file)}: lies in no class folder" for file in pictures_in(root)]
    for label, name in enumerate(found.names):
        inside = found.inside.get(root / name, Inside())
        pictures, problems = inside.pictures, [*problems, *inside.left_out.values()]
        if not divided:
            pictures = [p for k, p in enumerate(pictures) if (k % _TEST_EVERY == 0) == (split == "test")]
        if not pictures:
            problems.append(f"{shown(root / name)}: no pictures for the {split} split")
        own = masks.get(name, {})
        samples += [Sample(p, shown(p), label, _mask_of(p, root / name, own)) for p in pictures]
    if not samples:
        raise DataError(f"{shown(root)}: no pictures for the {split} split in its class folders")
    classes = tuple(shown(Path(name)) for name in found.names)
    if alike := [name for name in classes if classes.count(name) > 1]:
        raise DataError(f"{shown(path)}: {len(alike)} class folders read {alike[0]!r}, not being UTF-8; rename them")
    contents = Contents(classes, samples, len(samples), any(sample.mask for sample in samples), problems=problems)
    files = [file for sample in samples for file in (sample.picture, sample.mask) if isinstance(file, Path)]
    folders = [root, *(folder for inside in found.inside.values() for folder in inside.folders)]  # so do the problems
    return Listing(path, [*files, *folders], lambda: contents)


def _named_as(path: Path, split: str) -> Path | None:
    """The folder of a split; a folder of pictures is a class of that name, unless it is called `train` or `test`."""
    there = {entry.name.lower(): entry for entry in sorted(path.iterdir(), reverse=True) if entry.is_dir()}
    folders = (there[name] for name in _SPLITS[split] if name in there)
    return next((folder for folder in folders if folder.name == split or not pictures_in(folder)), None)


def _with_test(train: "_Classes", test: "_Classes") -> "_Classes":
    """The classes of training, with what the test split holds of them; others are left out, which is said."""
    problems = [*train.problems, *test.problems]
    for folder, inside in test.inside.items():
        if inside.pictures and folder.name not in train.names:
            count = len(inside.pictures)
            problems.append((folder, f"{shown(folder)}: a class that the train split lacks ({count:,} left out)"))
    return _Classes(train.names, train.inside | test.inside, problems)


@dataclass(frozen=True)
class _Classes:
    """Names of the classes, in order; what each class folder holds; folders that had to be left out, and why."""

    names: list[str]
    inside: dict[Path, Inside]
    problems: list[tuple[Path, str]]


def _classes(path: Path, roots: list[Path]) -> _Classes:
    """The class folders of all `roots`."""
    names, inside, problems = set(), {}, []
    for root in roots:
        for entry in sorted(root.iterdir()):
            if entry.name.startswith((".", "__")) or (entry == path / _MASKS and _is_masks(entry)):
                continue
            try:
                if not entry.stat() or not entry.is_dir():
                    continue
                inside[entry] = _without_masks(entry)
            except OSError as error:  # a link that leads to itself, or a folder that must not be read
                problems.append((entry, f"{shown(entry)}: cannot be read ({error.strerror})"))
                continue
            if inside[entry].pictures:
                names.add(entry.name)
            else:
                problems.append((entry, f"{shown(entry)}: an empty class (no pictures in this folder)"))
    return _Classes(sorted(names), inside, problems)


def _without_masks(folder: Path) -> Inside:
    """What a class folder holds, but for a folder `masks` in it: pictures of masks are no pictures of the class."""
    masks = folder / _MASKS
    inside = looked_through(folder, [masks])
    if masks.is_dir():
        inside.left_out[masks] = f"{shown(masks)}: taken for masks, which lie in {_MASKS}/{shown(Path(folder.name))}"
    return inside


def _check(found: _Classes, path: Path) -> None:
    if found.inside and not found.names:
        raise DataError(f"{shown(path)}: no pictures in its class folders ({', '.join(sorted(SUFFIXES))})")
    if len(found.names) < 2:
        only = f" (only {found.names[0]!r})" if found.names else ""
        raise DataError(
            f"{shown(path)}: holds {len(found.names)} class folders with pictures{only}; at least 2 are needed"
        )


def _is_masks(path: Path) -> bool:
    """Whether `masks` holds masks; else it is a class of that name."""
    return path.is_dir() and not pictures_in(path)


def _masks_of(path: Path) -> dict[str, dict[Path, Path]]:
    """By class, and by the place in its folder without the suffix."""
    if not path.is_dir():
        return {}
    folders = [entry for entry in path.iterdir() if entry.is_dir()]
    return {
        folder.name: {mask.relative_to(folder).with_suffix(""): mask for mask in looked_through(folder).pictures}
        for folder in folders
    }


def _mask_of(picture: Path, folder: Path, masks: dict[Path, Path]) -> Path | None:
    """The mask at the same place in its class, or under the picture's name in the class folder itself."""
    place = picture.relative_to(folder).with_suffix("")
    return masks.get(place, masks.get(Path(place.name)))


def _split_folder(path: Path, split: str) -> Path:
    found = _named_as(path, split)
    if found is None:
        raise DataError(f"{shown(path)}: has a train folder, but no {split} folder ({', '.join(_SPLITS[split])})")
    return found
