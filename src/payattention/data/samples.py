"""A split before its pictures are decoded: where they lie, what they are, and what may be wrong with them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sample:
    """One picture.

    Attributes:
        picture: Its file, the file's bytes, or its pixels, uint8 (H, W, 3).
        name: What to call it in a message.
        label: Its class.
        mask: The file of its object mask, or the mask, bool (H, W); None where there is none (it is then empty).
        foreground: The mask file's value on the object; None for any but 0.
        box: Left, top, width and height of the object in pixels of the file; None where it is not known.
        crop: With a box, whether the image is what lies in it, squeezed into a square. Else the image is the
            centre square of the whole picture, and the box stands for the object's mask.
    """

    picture: Path | bytes | NDArray[np.uint8]
    name: str
    label: int
    mask: Path | NDArray[np.bool_] | None = None
    foreground: int | None = None
    box: tuple[float, float, float, float] | None = None
    crop: bool = True


@dataclass(frozen=True)
class Contents:
    """The pictures of a split.

    Attributes:
        classes: Class names.
        samples: In order; gone through once.
        count: How many samples there are.
        masks: Whether the split has object masks.
        source: What a reader of results ought to know of where the pixels come from; "" for the set as published.
        problems: What had to be left out already, a line each.
    """

    classes: tuple[str, ...]
    samples: Iterable[Sample]
    count: int
    masks: bool = False
    source: str = ""
    problems: Sequence[str] = ()


@dataclass(frozen=True)
class Listing:
    """A split that has been found.

    Attributes:
        place: The folder or file that holds it.
        files: Everything that its content depends on: while their names, sizes and times stay, it stays.
        open: Reads what is needed to go through its pictures; not called when they are cached.
    """

    place: Path
    files: Sequence[Path]
    open: Callable[[], Contents]
