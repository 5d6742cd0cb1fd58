"""Levels in words, and whether they agree."""

import numpy as np
import pytest

from payattention.explaining.levels import Maps, disagreement, in_words


def of_grids(*sides: int) -> Maps:
    return {f"level{k}": np.ones((side, side + 1), np.float32) for k, side in enumerate(sides)}


@pytest.mark.parametrize(
    ("sides", "words"),
    [
        ((14,), ["15x14: level0"]),
        ((14, 7), ["fine, 15x14: level0", "coarse, 8x7: level1"]),
        ((7, 14), ["coarse, 8x7: level0", "fine, 15x14: level1"]),
        ((14, 14), ["early, 15x14: level0", "late, 15x14: level1"]),
        ((28, 14, 7), ["fine, 29x28: level0", "middle, 15x14: level1", "coarse, 8x7: level2"]),
        ((8, 6, 4, 2), ["finest, 9x8: level0", "fine, 7x6: level1", "coarse, 5x4: level2", "coarsest, 3x2: level3"]),
        ((5, 4, 3, 2, 1), [f"{k + 1} of 5, {6 - k}x{5 - k}: level{k}" for k in range(5)]),
    ],
)
def test_a_level_is_told_by_its_place_and_its_grid(sides: tuple[int, ...], words: list[str]) -> None:
    assert list(in_words(of_grids(*sides)).values()) == words


def test_the_two_that_have_least_in_common_are_named() -> None:
    left, right = np.zeros((4, 4), np.float32), np.zeros((8, 8), np.float32)
    left[:, :2], right[:, 4:] = 1, 1
    everywhere = np.ones((4, 4), np.float32)
    assert disagreement({"a": left, "b": everywhere, "c": right}) == ("a", "c", 0.0)
    assert disagreement({"a": left, "b": everywhere, "c": right}, but=("c",)) is None
    assert disagreement({"a": left}) is None
    assert disagreement({"a": left, "b": np.zeros((4, 4), np.float32)}) is None
