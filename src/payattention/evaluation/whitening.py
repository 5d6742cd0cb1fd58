"""Whitening an evaluation set by its own statistics, as the paper says of all of its sets for transfer (A.4).

It takes the place of the model's own normalisation while the set is measured. Everywhere else, and here by default, a
new set is normalised as the model's training set was: as it would be in use.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from payattention.data import ImageSet
from payattention.data.tensors import Pixels
from payattention.errors import UsageError
from payattention.models import Classifier
from payattention.models.preprocessing import GcnZca

LARGEST = 64
"""Side of the largest images, in pixels: the matrix has the fourth power of it, ninefold."""


@contextmanager
def whitening(model: Classifier, data: ImageSet, wanted: bool = True) -> Iterator[None]:
    """The model sees the set globally contrast-normalised and whitened (`GcnZca`); afterwards it is as before.

    Args:
        model: The model.
        data: The set, whose own statistics whiten it.
        wanted: Whether to do anything.

    Raises:
        UsageError: Images that are not square, or larger than `LARGEST`.
    """
    if not wanted:
        yield
        return
    height, width = data.images.shape[1:3]
    if height != width or height > LARGEST:
        raise UsageError(
            f"the images of {data.name} are {width}x{height}: whitening takes squares of {LARGEST}x{LARGEST} pixels "
            "at most (--image-size; the paper: 32)"
        )
    whitener, own = GcnZca(data.image_size, data.channels), model.preprocessing
    whitener.fit(Pixels(data))
    model.preprocessing = whitener
    try:
        yield
    finally:
        model.preprocessing = own
