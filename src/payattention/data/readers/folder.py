"""`folder:PATH`: pictures in `PATH/<split>/<class>/*`, or `PATH/<class>/*` (then every fifth is held out for test).

A class folder may hold folders. What it holds that is known and not read (a video, a camera's raw file) is listed.

The splits are `train` or `training`, and `test`, `testing`, `val`, `valid` or `validation`, capitals or not; the first
that is there counts. `all` is both, or every picture. The classes are those of `train`, where it is there: what else
`test` holds is left out and listed. A folder called like a split is a class where pictures lie in it, and classes
beside it.

Object masks, if any, lie in `PATH/masks`, in the same folders and under the same names as the pictures, with any
picture suffix: `PATH/masks/<split>/<class>/<name>.png`, or `PATH/masks/<class>/<name>.png`. A mask is as large as its
upright picture; any pixel but 0 is the object. A picture without a mask counts as one without an object.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
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
MASKS = "masks"
_HELD_OUT = {
    "train": "no train and test folders: all but every fifth picture of a class",
    "test": "no train and test folders: every fifth picture of a class; the split all takes every one",
    "all": "",
}
"""What a reader of results ought to know where the splits have no folders."""


def folder(path: Path, split: str) -> Listing:
    """Finds the pictures of one split, or under "all" those of both.

    Raises:
        DataError: No such folder, or no pictures of the split in class folders.
    """
    if not path.is_dir():
        raise DataError(f"{shown(path)}: no such folder{looked_in(path)}")
    splits = _splits(path)
    roots = _roots(path, splits, split)
    found = _known_classes(path, splits, roots)
    _check(found, path, roots)
    samples: list[Sample] = []
    problems = [line for folder, line in found.problems if folder.parent in roots]
    problems += [f"{shown(file)}: lies in no class folder" for root in roots for file in pictures_in(root)]
    beside = _beside(path, splits)
    problems += _of_no_split(path, beside)
    masks = {root: _masks_of(path / MASKS / root.name if splits else path / MASKS) for root in roots}
    for label, name in enumerate(found.names):
        own: list[Sample] = []
        for root in roots:
            inside, of_class = found.inside.get(root / name, Inside()), masks[root].get(name, {})
            problems += inside.left_out.values()
            pictures = inside.pictures if splits else _held_out(inside.pictures, split)
            own += [Sample(p, shown(p), label, _mask_of(p, root / name, of_class)) for p in pictures]
        if not own:
            problems.append(f"{shown(roots[0] / name)}: no pictures for the {split} split")
        samples += own
    if not samples:
        raise DataError(f"{shown(roots[0])}: no pictures for the {split} split in its class folders")
    source = "" if splits else _HELD_OUT[split]
    contents = Contents(
        _class_names(found, path), samples, len(samples), any(s.mask for s in samples), source, problems=problems
    )
    files = [file for sample in samples for file in (sample.picture, sample.mask) if isinstance(file, Path)]
    looked = [folder for inside in (*found.inside.values(), beside) for folder in inside.folders]
    folders = [*roots, *looked]  # so do the problems
    return Listing(path, [*files, *folders], lambda: contents)


def splits_among(names: Iterable[str]) -> dict[str, str]:
    """Of folders' names, the one that counts for each split, and which split that is."""
    lower = {name.lower(): name for name in sorted(names, reverse=True)}
    first = {split: next((own for own in possible if own in lower), None) for split, possible in _SPLITS.items()}
    return {lower[own]: split for split, own in first.items() if own is not None}


def _splits(path: Path) -> dict[str, Path]:
    """The folders of the splits; none where such a name is a class's: pictures lie in it, and classes beside it.

    A test folder alone is a split, too, unless there are classes beside it.
    """
    there = {entry.name.lower(): entry for entry in sorted(path.iterdir(), reverse=True) if entry.is_dir()}
    named = {name for names in _SPLITS.values() for name in names}
    classes = [entry for name, entry in there.items() if name not in named and entry != path / MASKS]
    beside = any(_holds_pictures(entry) for entry in classes)
    found = {}
    for split, names in _SPLITS.items():
        folders = (there[name] for name in names if name in there)
        folder = next((folder for folder in folders if not (beside and _holds_pictures(folder))), None)
        if folder is not None:
            found[split] = folder
    return found if "train" in found or not beside else {}


def _beside(path: Path, splits: dict[str, Path]) -> Inside:
    """What lies in the folder of no split, be it one of those that do not count."""
    named = {name for names in _SPLITS.values() for name in names} | {MASKS}
    return looked_through(path, [e for e in path.iterdir() if e.name.lower() in named]) if splits else Inside()


def _of_no_split(path: Path, beside: Inside) -> Iterator[str]:
    """How many pictures that are, in `path` itself and in each folder in it."""
    places = Counter(path / picture.relative_to(path).parts[0] for picture in beside.pictures)
    counts = {path: sum(place.is_file() for place in places)}
    counts |= {place: count for place, count in places.items() if place.is_dir()}
    return (f"{shown(place)}: in no split's folder ({count:,} left out)" for place, count in counts.items() if count)


def _holds_pictures(folder: Path) -> bool:
    try:
        return bool(pictures_in(folder))
    except OSError:
        return False


def _roots(path: Path, splits: dict[str, Path], split: str) -> list[Path]:
    """The folders of the class folders of a split."""
    if not splits:
        return [path]
    if split == "all":
        return [*splits.values()]
    if split not in splits:
        there, lacking = next(iter(splits)), ", ".join(_SPLITS[split])
        raise DataError(f"{shown(path)}: has a {there} folder, but no {split} folder ({lacking})")
    return [splits[split]]


def _held_out(pictures: list[Path], split: str) -> list[Path]:
    """Those of a class that belong to a split, where no folders tell."""
    return [p for k, p in enumerate(pictures) if split == "all" or (k % _TEST_EVERY == 0) == (split == "test")]


def _known_classes(path: Path, splits: dict[str, Path], roots: list[Path]) -> "_Classes":
    """The classes of training, or of what there is; with what lies in the folders that are asked for."""
    train = splits.get("train")
    if train is None:
        return _classes(path, roots)
    found, others = _classes(path, [train]), [root for root in roots if root != train]
    if not others:
        return found
    test = _classes(path, others)
    return _with_test(found, test) if found.names else test


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
            if entry.name.startswith((".", "__")) or (entry == path / MASKS and _is_masks(entry)):
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
    masks = folder / MASKS
    inside = looked_through(folder, [masks])
    if masks.is_dir():
        inside.left_out[masks] = f"{shown(masks)}: taken for masks, which lie in {MASKS}/{shown(Path(folder.name))}"
    return inside


def _check(found: _Classes, path: Path, roots: list[Path]) -> None:
    if found.inside and not found.names:
        raise DataError(f"{shown(path)}: no pictures in its class folders ({', '.join(sorted(SUFFIXES))})")
    if not found.names:
        place, what = next(((r, "pictures, but no") for r in roots if _holds_pictures(r)), (path, "no"))
        raise DataError(
            f"{shown(place)}: holds {what} class folders; put each class's pictures in a folder of its name"
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


def _class_names(found: "_Classes", path: Path) -> tuple[str, ...]:
    classes = tuple(shown(Path(name)) for name in found.names)
    if alike := [name for name in classes if classes.count(name) > 1]:
        raise DataError(f"{shown(path)}: {len(alike)} class folders read {alike[0]!r}, not being UTF-8; rename them")
    return classes
