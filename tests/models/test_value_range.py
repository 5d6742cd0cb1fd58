"""Images in 0 ... 255 are told of, once, and nothing else is disturbed."""

import warnings
from collections.abc import Iterator

import pytest
import torch

from payattention.models import Classifier, value_range


@pytest.fixture(autouse=True)
def _not_told_yet() -> Iterator[None]:
    value_range._warn.cache_clear()
    yield
    value_range._warn.cache_clear()


def test_pixels_in_0_to_255_are_told_of_once(model: Classifier, images: torch.Tensor) -> None:
    with pytest.warns(UserWarning, match="divide pixels of 0 ... 255 by 255"):
        model(images * 255)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.attend(images * 255)


def test_what_networks_are_tried_with_is_not(model: Classifier, images: torch.Tensor) -> None:
    for some in (images, torch.randn(4, 3, 32, 32), images[:0].new_empty(0, 3, 32, 32), images.requires_grad_()):
        model(some)


def test_tracing_and_vmap_go_on(model: Classifier, images: torch.Tensor) -> None:
    torch.export.export(model, (images,))
    with warnings.catch_warnings(record=True) as said:  # the checks of types say much while it traces
        warnings.simplefilter("always")
        torch.jit.trace(model, images * 255, check_trace=False)
    assert not any("value_range" in said_of.filename or "by 255" in str(said_of.message) for said_of in said)
    torch.vmap(lambda image: model(image[None])[0])(images * 255)
    with torch.device("meta"):
        nowhere = torch.rand(4, 3, 32, 32)
    assert model.to("meta")(nowhere).shape == (4, 3)
