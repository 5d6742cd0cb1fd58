"""The page on segmentation: its Python runs."""

import pytest
from blocks import to_run

from payattention.data.readers.cluttered_digits import COUNTS
from payattention.models import Classifier

PAGE = "docs/segmentation.md"


def test_its_python_runs(model: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COUNTS, "test", 30)
    monkeypatch.setitem(COUNTS, "train", 30)
    (example,) = to_run(PAGE, "python")
    scope: dict[str, object] = {"model": model}
    exec(example, scope)
    assert scope["result"].count == 20
    assert scope["result"].tuned_on == "20 pictures of cluttered_digits, train"
