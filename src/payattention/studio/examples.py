"""The dozen pictures that come along: small ones to choose from, and the files."""

from functools import cache
from pathlib import Path
from typing import Any

from payattention.errors import UsageError
from payattention.figures.self_contained import data_uri
from payattention.pictures.drawing import fitted
from payattention.pictures.photographs import DOZEN, photographs
from payattention.pictures.reading import read_picture

_SIDE = 96  # pixels


@cache
def small() -> list[dict[str, Any]]:
    """What the page shows of each, in order: its number, what it shows, and the picture."""
    return [
        {"number": number, "says": DOZEN[file.name], "picture": data_uri(fitted(read_picture(file), _SIDE))}
        for number, file in enumerate(photographs(tuple(DOZEN)))
    ]


def example(number: object) -> tuple[Path, str]:
    """The file of one, and what it shows.

    Raises:
        UsageError: No such number.
    """
    files = photographs(tuple(DOZEN))
    if not isinstance(number, int) or not 0 <= number < len(files):
        raise UsageError(f"example {number!r}: there are {len(files)}, from 0 on")
    return files[number], DOZEN[files[number].name]
