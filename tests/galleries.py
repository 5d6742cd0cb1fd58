"""Records for a gallery, made by hand: three classes, one with a hostile name, and maps whose peaks are known."""

import numpy as np
from PIL import Image

from payattention.figures.gallery import Record

HOSTILE = "</script><img src=x onerror=window.hacked=1>&\"'\n\udcff\u202e"
CLASSES = ("cat", "dog", HOSTILE)


def peaked(row: int, column: int, rows: int = 4, columns: int = 6) -> np.ndarray:
    """A map that is 0.5 in one cell, and little else."""
    values = np.linspace(0, 0.1, rows * columns, dtype=np.float32).reshape(rows, columns)
    values[row, column] = 0.5
    return values


def record(number: int, true: str | None = None) -> Record:
    """The picture of that number: its colour, classes, probability and maps are the number's."""
    predicted = CLASSES[number % 3]
    rest = [name for name in CLASSES if name != predicted]
    probability = 0.5 + 0.03 * number
    return Record(
        picture=Image.new("RGB", (60, 40), (20 * number, 200 - 15 * number, 120)),
        name=f"folder/{number} {HOSTILE}.png",
        predicted=predicted,
        probabilities={predicted: probability, rest[0]: 0.9 * (1 - probability), rest[1]: 0.1 * (1 - probability)},
        maps={
            "attention": {"low": peaked(number % 4, 0), "combined": peaked(number % 4, number % 6)},
            "Grad-CAM": {"low": peaked(0, number % 6), "flat": np.ones((3, 3), np.float32)},
        },
        true=true,
    )


def judged() -> list[Record]:
    """Twelve pictures; every fourth is called wrongly."""
    return [record(k, CLASSES[(k + (k % 4 == 3)) % 3]) for k in range(12)]
