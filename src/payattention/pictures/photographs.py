"""Photographs that scikit-image brings along, to try things on before there are any of one's own."""

from importlib.util import find_spec
from pathlib import Path

SHOWN = ("chelsea.png", "coffee.png", "rocket.jpg")
"""A cat, a cup, a start; no one's portrait: a model answers one of its classes, whatever it is shown."""
NAMES = (*SHOWN, "astronaut.png", "motorcycle_left.png")
"""Those to look at by oneself, on one's own machine."""

DOZEN = {
    "chelsea.png": "a cat",
    "coffee.png": "a cup of coffee",
    "rocket.jpg": "a rocket's start",
    "astronaut.png": "an astronaut",
    "motorcycle_left.png": "motorcycles",
    "camera.png": "a man with a camera",
    "clock_motion.png": "a clock, blurred",
    "coins.png": "coins",
    "hubble_deep_field.jpg": "galaxies",
    "moon.png": "the moon",
    "horse.png": "a horse's outline",
    "grass.png": "grass",
}
"""A dozen, and what each shows."""


def photographs(names: tuple[str, ...] = NAMES) -> list[Path]:
    """Their files; of the named ones, those that the installed version has."""
    spec = find_spec("skimage.data")
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    return [folder / name for name in names if (folder / name).is_file()]
