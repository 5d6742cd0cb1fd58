"""Pictures that anyone may show: what they are, whose they are, and a model's maps of them."""

import numpy as np
import pytest

from payattention.data.readers.cluttered_digits import cluttered_digits
from payattention.explaining.specimens import specimen_sheet, specimens
from payattention.models import Classifier


@pytest.mark.parametrize(("data", "whose"), [(None, "CC0"), ("cifar10", "CC0"), ("cluttered_digits", "CC BY 2.0")])
def test_they_are_drawn_with_their_owners_named(data: str | None, whose: str, model: Classifier) -> None:
    shown = specimens(data)
    assert whose in shown.origin
    sheet = specimen_sheet(model, shown)
    assert sheet.mode == "RGB"
    assert len(np.unique(np.asarray(sheet.resize((64, 64))).reshape(-1, 3), axis=0)) > 50  # pictures, no blank page


def test_digits_are_of_the_test_split() -> None:
    (first, *_) = specimens("cluttered_digits").pictures.values()
    assert first.tobytes() == cluttered_digits("test", 4).images[0].tobytes()
