"""Sets of picture files in their authors' folder layouts: which files, which class, which split.

Each function takes the folder that the set's archives were unpacked in, and a split of `payattention.data.catalogue`.
All raise DataError where a file that they need is missing or does not hold what it should.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from payattention.data.samples import Contents, Listing, Sample
from payattention.errors import DataError
from payattention.pictures.finding import pictures_in
from payattention.system.text import shown

_SPLIT_SEED = 20180430  # where a set has no official split, ours is drawn with this, once for all


def caltech101(place: Path, split: str) -> Listing:
    """`101_ObjectCategories/<class>/*.jpg`, without BACKGROUND_Google."""
    folders = _folders(place / "101_ObjectCategories", without=("BACKGROUND_Google",))
    return _drawn(place / "101_ObjectCategories", folders, split, train_per_class=15)


def caltech256(place: Path, split: str) -> Listing:
    """`256_ObjectCategories/001.ak47/*.jpg`, without 257.clutter; classes go by the name after the number."""
    root = place / "256_ObjectCategories"
    folders = {_after_number(name): folder for name, folder in _folders(root, without=("257.clutter",)).items()}
    return _drawn(root, folders, split, train_per_class=30)


def event8(place: Path, split: str) -> Listing:
    """`event_img/<class>/*.jpg`."""
    return _drawn(place / "event_img", _folders(place / "event_img"), split, train_per_class=70)


def oxford_pets(place: Path, split: str) -> Listing:
    """The official lists; the mask is where the trimap is 1 (2 is background, 3 an undecided border)."""
    folder = place / "oxford-iiit-pet"
    lists = {part: folder / "annotations" / f"{part}.txt" for part in ("trainval", "test")}
    rows = {part: [_fields(line, 4, file) for line in _lines(file)] for part, file in lists.items()}
    breeds = {_whole(row[1], lists[part]): row[0].rpartition("_")[0] for part in rows for row in rows[part]}
    labels = {number: label for label, number in enumerate(sorted(breeds))}  # 0, 1, ... also where breeds are missing
    chosen = "test" if split == "test" else "trainval"
    samples = [
        Sample(
            picture := folder / "images" / f"{row[0]}.jpg",
            shown(picture),
            labels[int(row[1])],
            mask=folder / "annotations" / "trimaps" / f"{row[0]}.png",
            foreground=1,
        )
        for row in rows[chosen]
    ]
    classes = tuple(breeds[number].replace("_", " ").title() for number in labels)
    return _listing(folder, classes, samples, lists.values())


def cub200(place: Path, split: str, crop: bool = True) -> Listing:
    """The official lists, whose lines are an image's number and a value; the box is the bird's."""
    folder = place / "CUB_200_2011"
    names = ("images", "image_class_labels", "train_test_split", "bounding_boxes", "classes")
    files = {name: folder / f"{name}.txt" for name in names}
    tables = {name: dict(_fields(line, 2, file) for line in _lines(file)) for name, file in files.items()}
    numbers = sorted({_whole(label, files["image_class_labels"]) for label in tables["image_class_labels"].values()})
    try:
        samples = [
            Sample(
                picture := folder / "images" / tables["images"][image],
                shown(picture),
                numbers.index(int(tables["image_class_labels"][image])),
                box=_box(tables["bounding_boxes"][image], files["bounding_boxes"]),
                crop=crop,
            )
            for image, is_train in tables["train_test_split"].items()
            if (is_train == "1") == (split == "train")
        ]
        classes = tuple(_after_number(tables["classes"][str(number)]).replace("_", " ") for number in numbers)
    except KeyError as error:
        raise DataError(f"{shown(folder)}: number {error} is not in all of {', '.join(names)} (.txt)") from None
    return _listing(folder, classes, samples, files.values())


def action40(place: Path, split: str) -> Listing:
    """`ImageSplits/<action>_train.txt` and `_test.txt` list the names of files in `JPEGImages`."""
    lists = {part: sorted((place / "ImageSplits").glob(f"*_{part}.txt")) for part in ("train", "test")}
    actions = [file.name.removesuffix("_train.txt") for file in lists["train"]]
    chosen = [
        (label, place / "ImageSplits" / f"{action}_{part}.txt")
        for part in lists
        if split in (part, "all")
        for label, action in enumerate(actions)
    ]
    samples = [
        Sample(picture := place / "JPEGImages" / line, shown(picture), label)
        for label, file in chosen
        for line in _lines(file)
    ]
    classes = tuple(action.replace("_", " ") for action in actions)
    return _listing(place, classes, samples, [file for _, file in chosen])


def scene67(place: Path, split: str) -> Listing:
    """`TrainImages.txt` and `TestImages.txt` list paths in `Images`; `all` is whatever lies there."""
    folders = _folders(place / "Images")
    labels = {name: label for label, name in enumerate(folders)}
    if split == "all":
        return _drawn(place, folders, split, 0)
    file = place / f"{split.title()}Images.txt"
    samples = []
    for line in _lines(file):
        scene = line.partition("/")[0]
        if scene not in labels:
            raise DataError(f"{shown(file)}: {line!r} is not in a folder of {shown(place / 'Images')}")
        samples.append(Sample(picture := place / "Images" / line, shown(picture), labels[scene]))
    return _listing(place, tuple(labels), samples, [file])


def object_discovery(place: Path, split: str) -> Listing:
    """`Data/<Class>100/*.jpg` and `Data/<Class>100/GroundTruth/*.png`: airplane, car, horse."""
    classes = ("airplane", "car", "horse")
    samples = [
        Sample(picture, shown(picture), label, mask=picture.parent / "GroundTruth" / f"{picture.stem}.png")
        for label, name in enumerate(classes)
        for picture in _pictures(place / "Data" / f"{name.title()}100")
    ]
    return _listing(place, classes, samples, [])


def _listing(place: Path, classes: tuple[str, ...], samples: list[Sample], lists: Iterable[Path]) -> Listing:
    if not samples:
        raise DataError(f"{shown(place)}: no pictures of this split")
    contents = Contents(classes, samples, len(samples), masks=any(s.mask or (s.box and not s.crop) for s in samples))
    files = [file for sample in samples for file in (sample.picture, sample.mask) if isinstance(file, Path)]
    return Listing(place, [*files, *lists], lambda: contents)


def _drawn(place: Path, folders: Mapping[str, Path], split: str, train_per_class: int) -> Listing:
    """Draws so many pictures of each class to train; the others are to test, and `all` is all."""
    samples: list[Sample] = []
    for label, folder in enumerate(folders.values()):
        pictures = _pictures(folder)
        drawn = np.random.default_rng([_SPLIT_SEED, label]).permutation(len(pictures))[:train_per_class]
        train = set(drawn.tolist())
        chosen = [p for k, p in enumerate(pictures) if split == "all" or (k in train) == (split == "train")]
        samples += [Sample(picture, shown(picture), label) for picture in chosen]
    return _listing(place, tuple(folders), samples, [])


def _folders(root: Path, without: tuple[str, ...] = ()) -> dict[str, Path]:
    if not root.is_dir():
        raise DataError(f"{shown(root)}: no such folder")
    found = sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    folders = {shown(Path(entry.name)): entry for entry in found if entry.name not in without}
    if len(folders) < 2:
        raise DataError(f"{shown(root)}: holds {len(folders)} class folders; at least 2 are needed")
    return folders


def _pictures(folder: Path) -> list[Path]:
    try:
        return pictures_in(folder)
    except OSError as error:
        raise DataError(f"{shown(folder)}: cannot be read ({error.strerror})") from None


def _lines(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{shown(file)}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise DataError(f"{shown(file)}: not a text file") from None
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _fields(line: str, count: int, file: Path) -> list[str]:
    """A line's `count` values; the last takes what is left."""
    fields = line.split(maxsplit=count - 1)
    if len(fields) != count:
        raise DataError(f"{shown(file)}: the line {line!r} should hold {count} values")
    return fields


def _whole(text: str, file: Path) -> int:
    if not text.isdecimal():
        raise DataError(f"{shown(file)}: {text!r} is not a whole number")
    return int(text)


def _box(text: str, file: Path) -> tuple[float, float, float, float]:
    try:
        left, top, width, height = map(float, text.split())
    except ValueError:
        raise DataError(f"{shown(file)}: {text!r} is not left, top, width and height") from None
    return left, top, width, height


def _after_number(name: str) -> str:
    """`001.ak47` as `ak47`."""
    return name.partition(".")[2] or name
