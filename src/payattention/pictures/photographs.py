"""Photographs that scikit-image brings along, to try things on before there are any of one's own."""

from importlib.util import find_spec
from pathlib import Path

NAMES = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")


def photographs() -> list[Path]:
    """Their files; of those of `NAMES`, the ones that the installed version has."""
    spec = find_spec("skimage.data")
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    return [folder / name for name in NAMES if (folder / name).is_file()]
