"""A tiny folder of pictures."""

from pathlib import Path

import pytest

from tiny import encoded, pixels


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """A folder of two classes with ten 8x8 PNG pictures each: cat 0 ... 9, dog 10 ... 19 by the seed of `pixels`."""
    root = tmp_path / "pets"
    for label, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True)
        for k in range(10):
            (root / name / f"{k}.png").write_bytes(encoded(pixels(10 * label + k), "PNG"))
    return root
