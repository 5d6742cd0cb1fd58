"""The pages on attacks and transfer: their Python runs."""

from pathlib import Path

import pytest
from blocks import to_run

import payattention as pa
from payattention.data.readers.cluttered_digits import COUNTS


@pytest.mark.parametrize("page", ["docs/attacks.md", "docs/transfer.md"])
def test_its_python_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(COUNTS, "test", 20)
    model = pa.create_model("vgg_att2_concat_pc", 10, 0.0625)
    model.classes = tuple(map(str, range(10)))
    pa.save(model, "runs/quickstart")
    (example,) = to_run(page, "python")
    scope: dict[str, object] = {}
    exec(example, scope)
    if page == "docs/attacks.md":
        assert len(scope["result"].attacks) == 4
        assert scope["attacked"].shape == (8, 3, 32, 32)
    else:
        assert scope["features"].shape == (8, 64)
