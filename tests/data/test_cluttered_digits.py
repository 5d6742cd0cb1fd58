"""The embedded data: deterministic, honest splits, masks that lie on the digit."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from payattention.data import load_data
from payattention.data.readers import cluttered_digits as module
from payattention.data.readers.cluttered_digits import cluttered_digits


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, again, other = (cluttered_digits("test", 20, seed) for seed in (1, 1, 2))
    assert first.images.tobytes() == again.images.tobytes()
    assert first.masks.tobytes() == again.masks.tobytes()
    assert first.images.tobytes() != other.images.tobytes()


def test_what_it_looks_like() -> None:
    data = load_data("cluttered_digits", "test")
    assert data.images.shape == (2000, 32, 32, 3)
    assert data.images.dtype == np.uint8
    assert data.classes == tuple("0123456789")
    assert not data.mirror
    assert np.bincount(data.labels).min() > 120  # ten classes of about 200


def test_no_source_digit_is_in_both_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every digit is replaced by its own number, so the ink used by each split names its sources."""
    digits = load_digits()
    used: dict[str, set[int]] = {"train": set(), "test": set()}
    numbered = np.arange(len(digits.images))[:, None, None] * np.ones((1, 8, 8))
    monkeypatch.setattr("sklearn.datasets.load_digits", lambda: type(digits)(images=numbered, target=digits.target))
    for split, sources in used.items():

        def note(digit: np.ndarray, size: int, sources: set[int] = sources) -> np.ndarray:
            sources.add(int(digit[0, 0]))
            return np.ones((size, size), np.float32)

        monkeypatch.setattr(module, "_stroke", note)
        cluttered_digits(split, 1)
    assert used["train"] & used["test"] == set()
    assert len(used["train"] | used["test"]) == 1797
    assert len(used["test"]) == 359


def test_the_mask_lies_on_the_digit() -> None:
    """Ink stands out from its surroundings: darker or brighter than the ground next to it."""
    data = cluttered_digits("train", 300)
    contrast = []
    for image, mask in zip(data.images.astype(float), data.masks, strict=True):
        rows, columns = np.where(mask)
        assert len(rows) >= 10
        box = np.s_[max(rows.min() - 2, 0) : rows.max() + 3, max(columns.min() - 2, 0) : columns.max() + 3]
        grey, inside = image[box].mean(2), mask[box]
        contrast.append(abs(grey[inside].mean() - grey[~inside].mean()))
    assert np.median(contrast) > 40
    assert np.mean(np.array(contrast) > 10) > 0.95
