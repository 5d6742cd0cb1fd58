"""Shapes in signatures are those of `np.ndarray`: from numpy 2.5 on `NDArray[...]` is no class, as jaxtyping needs it.

That numpy needs Python 3.12, so on an older one nothing else tells.
"""

import re
from pathlib import Path

import payattention


def test_shapes_are_of_arrays_in_every_numpy() -> None:
    sources = Path(payattention.__file__).parent.rglob("*.py")
    assert [path for path in sources if re.search(r"\w\[NDArray\[\w+\], \"", path.read_text(encoding="utf-8"))] == []
