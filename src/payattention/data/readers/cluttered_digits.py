"""`cluttered_digits`: the embedded data set, made on the fly from what scikit-learn ships.

A real handwritten digit lies on a crop of a real photograph, among fragments of other digits; the class is the
digit's, and the mask says where it is. 32x32 RGB, 10 classes. The 1,797 source digits are divided between the
splits first, so no digit is in both, not even as clutter. The same seed gives the same bytes.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from payattention.data.imageset import ImageSet

SIZE = 32
CLASSES = tuple("0123456789")
COUNTS = {"train": 8_000, "test": 2_000}
_TEST_SHARE = 0.2
_DIGIT_SIZES = (12, 13, 14, 16)  # pixels, drawn from 8x8
_FRAGMENTS = (3, 6)  # at least, fewer than
_FRAGMENT_SIZE = 5


def cluttered_digits(split: str, count: int | None = None, seed: int = 0) -> ImageSet:
    """Makes `count` images of a split, by default `COUNTS[split]`."""
    from sklearn.datasets import load_digits, load_sample_images

    digits = load_digits()
    photographs = [_halved(photo) for photo in load_sample_images().images]
    sources = np.random.default_rng(20180515).permutation(len(digits.images))  # the split is the same for all seeds
    held_out = round(_TEST_SHARE * len(sources))
    sources = sources[:held_out] if split == "test" else sources[held_out:]
    strokes = {size: [_stroke(digits.images[i], size) for i in sources] for size in _DIGIT_SIZES}

    rng = np.random.default_rng([seed, split == "test"])
    count = COUNTS[split] if count is None else count
    images = np.empty((count, SIZE, SIZE, 3), np.uint8)
    masks = np.empty((count, SIZE, SIZE), np.bool_)
    labels = np.empty(count, np.int64)
    for k in range(count):
        chosen = rng.integers(len(sources))
        labels[k] = digits.target[sources[chosen]]
        canvas = _crop(photographs[rng.integers(len(photographs))], rng)
        for _ in range(rng.integers(*_FRAGMENTS)):
            _draw(canvas, _fragment(strokes, rng), rng)
        stroke = strokes[_DIGIT_SIZES[rng.integers(len(_DIGIT_SIZES))]][chosen]
        masks[k] = _draw(canvas, stroke, rng) > 0.5
        images[k] = canvas.round().astype(np.uint8)
    names = np.array([f"cluttered_digits, image {k}" for k in range(count)], np.bytes_)
    return ImageSet("cluttered_digits", split, images, labels, CLASSES, masks, mirror=False, names=names)


_Stroke = NDArray[np.float32]  # (h, w): how much ink, 0 ... 1
_Canvas = NDArray[np.float32]  # (h, w, 3): 0 ... 255


def _halved(photo: NDArray[np.uint8]) -> _Canvas:
    picture = Image.fromarray(photo)
    return np.asarray(picture.reduce(2), np.float32)


def _stroke(digit: NDArray[np.float64], size: int) -> _Stroke:
    picture = Image.fromarray(np.asarray(digit / 16, np.float32))  # scikit-learn's ink runs from 0 to 16
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC)).clip(0, 1)


def _crop(photo: _Canvas, rng: np.random.Generator) -> _Canvas:
    y = rng.integers(photo.shape[0] - SIZE + 1)
    x = rng.integers(photo.shape[1] - SIZE + 1)
    return photo[y : y + SIZE, x : x + SIZE].copy()


def _fragment(strokes: dict[int, list[_Stroke]], rng: np.random.Generator) -> _Stroke:
    size = _DIGIT_SIZES[rng.integers(len(_DIGIT_SIZES))]
    stroke = strokes[size][rng.integers(len(strokes[size]))]
    y, x = rng.integers(size - _FRAGMENT_SIZE + 1, size=2)
    return stroke[y : y + _FRAGMENT_SIZE, x : x + _FRAGMENT_SIZE]


def _draw(canvas: _Canvas, stroke: _Stroke, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draws a stroke at a random place in a colour that stands out there; returns its ink on the canvas (h, w)."""
    height, width = stroke.shape
    y, x = rng.integers(SIZE - height + 1), rng.integers(SIZE - width + 1)
    under = canvas[y : y + height, x : x + width]
    dark_ground = under.mean() < 128
    colour = rng.uniform(180, 255, 3) if dark_ground else rng.uniform(0, 75, 3)
    under += stroke[..., None] * (colour.astype(np.float32) - under)
    ink = np.zeros((SIZE, SIZE), np.float32)
    ink[y : y + height, x : x + width] = stroke
    return ink
