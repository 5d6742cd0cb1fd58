"""Reading a data set for a verb: what was left out is said, and only the wanted part is kept."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from payattention.cli.options import names_in
from payattention.errors import CheckpointError, UsageError
from payattention.system.validation import checked

if TYPE_CHECKING:
    from payattention.data import ImageSet
    from payattention.models import Classifier
    from payattention.weights.header import Saved
    from payattention.weights.named import NamedModel
    from payattention.weights.origin import Origin


def loaded(named: "NamedModel", average: str | None = None) -> "Classifier":
    """A model that was named, on the device that was chosen; its maps are means over some views (`AverageOption`)."""
    from payattention.system.machine import chosen_device

    model = named.load().to(chosen_device())
    return model if average is None else model.averaging(average)


def loaded_for(named: "NamedModel", source: "Source", split: str, classes: str | None = None) -> "Classifier":
    """The same, to be measured on a set by its classes; before pictures are decoded.

    Raises:
        UsageError: The set has none of the model's classes, or another number where the model knows no names.
    """
    model = loaded(named)
    check_classes(model, source, split, classes)
    if not model.classes:
        print(
            f"note: the model knows no class names: it is taken to have those of {source.name}, in order",
            file=sys.stderr,
        )
    return model


@checked(frozen=True)
class Wanted:
    """What a run trains on and is measured on, as it was asked for; kept in its config.json to read it again."""

    name: str
    root: str | None = None
    image_size: int | None = None
    strict: bool = False
    classes: str | None = None
    limit: int | None = None
    hold_out: float | None = None
    crop_mode: str = "center"
    channels: int = 3
    from_disk: bool = False
    uncached: bool = False

    def read(self) -> "tuple[ImageSet, ImageSet]":
        """The set to train on, and the test split or what is held out."""
        from payattention.data import held_out

        train = self._split("train", to_train=True)
        return (train, self._split("test")) if self.hold_out is None else held_out(train, self.hold_out)

    def check_apart(self) -> None:
        """Raises UsageError where what is measured on would be what was trained on; for new runs."""
        from payattention.data.places import located, path_of

        kind, _, path = self.name.partition(":")
        root = None if self.root is None else path_of(self.root)
        if kind == "parquet" and self.hold_out is None and located(path_of(path), root).is_file():
            raise UsageError(
                f"{self.name} is one file, and so is every split of it: hold some out to measure on "
                "(--hold-out 0.2), or name a folder of train-*.parquet and test-*.parquet"
            )

    def anywhere(self) -> dict[str, Any]:
        """The same with absolute paths, whatever folder the run is resumed from."""
        from payattention.data.places import located, path_of, text_of

        kind, colon, path = self.name.partition(":")
        root = None if self.root is None else path_of(self.root)
        name = f"{kind}:{text_of(located(path_of(path), root).absolute())}" if colon else self.name
        return asdict(self) | {"name": name, "root": None if root is None else text_of(root.absolute())}

    def _split(self, split: str, to_train: bool = False) -> "ImageSet":
        from payattention.data.places import path_of

        return read(
            self.name,
            split,
            root=None if self.root is None else path_of(self.root),
            image_size=self.image_size,
            crop_mode=self.crop_mode,
            channels=self.channels,
            strict=self.strict,
            classes=self.classes,
            limit=self.limit,
            to_train=to_train,
            from_disk=self.from_disk,
            cache=not self.uncached,
        )


def wanted_of(reading: Mapping[str, Any], file: Path, data_root: Path | None) -> Wanted:
    """What a run's record says of its data, wherever that lies now.

    Raises:
        CheckpointError: It is of another version.
    """
    try:
        return Wanted(**dict(reading) | ({} if data_root is None else {"root": str(data_root)}))
    except UsageError as error:
        raise CheckpointError(f"{file}: not a reading of this version ({error}); begin a new run") from None


def read(
    name: str,
    split: str,
    *,
    root: Path | None,
    image_size: int | None = None,
    crop_mode: str = "center",
    channels: int = 3,
    strict: bool = False,
    classes: str | None = None,
    limit: int | None = None,
    to_train: bool = False,
    from_disk: bool = False,
    cache: bool = True,
) -> "ImageSet":
    """`load_data` with a progress bar, then the images of some classes (names with commas between), and so many.

    The name of a class that the set has not is found before pictures are decoded, and classes too few to train on.
    """
    from payattention.cli.output import print_left_out, progress_console
    from payattention.data import limited, load_data, of_classes
    from payattention.data.parts import check_enough_classes, chosen_classes

    names = None if classes is None else names_in(classes)

    def check(known: tuple[str, ...]) -> None:
        kept = known if names is None else chosen_classes(known, names, name)
        if to_train:
            check_enough_classes(kept, name)

    console = progress_console()
    console.print(f"reading {name}, {split}")
    images = load_data(
        name,
        split,
        root=root,
        image_size=image_size,
        crop_mode=crop_mode,
        channels=channels,
        strict=strict,
        console=console,
        check=check,
        from_disk=from_disk,
        cache=cache,
    )
    if not console.quiet:
        print_left_out(images.skipped, f"{images.name}, {images.split}")
    if images.source:
        console.print(f"note: {images.source}")
    if names is not None:
        images = of_classes(images, names)
    return images if limit is None else limited(images, limit)


@dataclass(frozen=True)
class Source:
    """The data that a verb is about: named by the user, or what the run was trained on, where that lay then."""

    name: str
    root: Path | None
    origin: "Origin | None" = None

    @staticmethod
    def of(model: "NamedModel", data: str | None, root: Path | None) -> "Source":
        """`data` if it is named, else what a run was trained on.

        Raises:
            UsageError: The model was not trained here.
            CheckpointError: The run does not tell what it was trained on.
            DataError: It is no longer where it was.
        """
        from payattention.weights.origin import origin

        if data is not None:
            return Source(data, root)
        own = origin(model.run)
        own.check_there()
        return Source(own.name, root or own.root, own)

    def classes(self, chosen: str | None) -> str | None:
        """The classes that are asked for, else those that the run was trained on."""
        return chosen or (self.origin.classes if self.origin else None)

    def note_difference(self, images: "ImageSet", classes: str | None, limit: int | None) -> None:
        """Says, in one line, if a run's own data is no longer what it was."""
        if self.origin and (changed := self.origin.difference(images, classes, limit)):
            print(f"note: {self.name} is not what {self.origin.run} had: {changed}", file=sys.stderr)


def read_for(model: "Classifier", source: Source, split: str, **given: Any) -> "ImageSet":
    """`read` as the set was read that the model was trained on: of that size and channels, made squares in that way."""
    classes = source.classes(given.pop("classes", None))
    form = {"image_size": model.image_size, "crop_mode": model.crop_mode, "channels": model.in_channels}
    images = read(source.name, split, **{**form, "root": source.root, "classes": classes, **given})
    source.note_difference(images, classes, given.get("limit"))
    return images


def check_data(name: str, split: str) -> None:
    """Raises UsageError for a data set or a split that is unknown, before anything is read."""
    from payattention.data import check_name
    from payattention.data.load import check_split

    check_name(name)
    check_split(name, split)


def check_classes(model: "Saved | Classifier", source: Source, split: str, classes: str | None = None) -> None:
    """Raises UsageError for a set, or some classes of it, that are not a model's; as far as can be told at once.

    Raises:
        DataError: The set is not there.
    """
    from payattention.data.load import class_names
    from payattention.data.parts import chosen_classes
    from payattention.data.same_classes import check_same_classes

    name, classes = source.name, source.classes(classes)
    known = class_names(name, split, source.root)
    if known is None:
        return
    kept = known if classes is None else chosen_classes(known, names_in(classes), name)
    check_same_classes(model.classes, model.num_classes, kept, name)


def check_has_masks(name: str) -> None:
    """Raises UsageError for a data set that is known to have no object masks, before anything is read."""
    from payattention.data import CATALOGUE, check_name
    from payattention.data.catalogue import without_masks

    check_name(name)
    if name in CATALOGUE and not CATALOGUE[name].masks:
        raise without_masks(name)
