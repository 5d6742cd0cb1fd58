"""Real pictures to try a file with: photographs that scikit-image ships, so that they are always at hand."""

from PIL import Image

_NAMES = ("astronaut", "chelsea", "coffee", "rocket")


def photographs() -> list[Image.Image]:
    """Four of them, RGB: a face, a cat, a cup, a launch by night."""
    from skimage import data

    return [Image.fromarray(getattr(data, name)()) for name in _NAMES]
