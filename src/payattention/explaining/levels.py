"""A model's levels for a reader: in words, and whether they look at the same places."""

from collections.abc import Collection, Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from payattention.attention.maps import overlap

Maps = Mapping[str, NDArray[np.float32]]

APART = 0.2
"""Levels disagree where their maps share less than this of their mass."""

_BY_GRID = {2: ("fine", "coarse"), 3: ("fine", "middle", "coarse"), 4: ("finest", "fine", "coarse", "coarsest")}
_BY_DEPTH = {2: ("early", "late"), 3: ("early", "middle", "late"), 4: ("earliest", "early", "late", "latest")}


class Disagreement(NamedTuple):
    """Two levels that look at different places, and the share of their mass that they have in common."""

    one: str
    other: str
    overlap: float


def grid(values: NDArray[np.float32]) -> str:
    """A map's own size, "14x14": columns, rows. An enlarged map has no more detail than that."""
    return f"{values.shape[1]}x{values.shape[0]}"


def in_words(maps: Maps) -> dict[str, str]:
    """Each level as "fine, 14x14: blocks_4": its place among the others, its grid, its name.

    Args:
        maps: By level, from low to high, each (h, w).
    """
    names = ranks(maps)
    return {level: f"{names[level]}{grid(values)}: {level}" for level, values in maps.items()}


def ranks(maps: Maps) -> dict[str, str]:
    """Each level as "fine, "; where all grids are alike, as "early, "; a level that is alone as nothing."""
    count = len(maps)
    shrinks = len({values.size for values in maps.values()}) == count
    words = (_BY_GRID if shrinks else _BY_DEPTH).get(count)
    if words is None:
        return {level: f"{place} of {count}, " * (count > 1) for place, level in enumerate(maps, 1)}
    order = sorted(maps, key=lambda level: -maps[level].size) if shrinks else maps
    return {level: f"{word}, " for level, word in zip(order, words, strict=True)}


def disagreement(maps: Maps, but: Collection[str] = ()) -> Disagreement | None:
    """The two levels that have least in common, if they disagree.

    Args:
        maps: By level, each (h, w), values >= 0.
        but: Levels not to be asked: what is nearly flat looks nowhere in particular.
    """
    tensors = {level: torch.from_numpy(values) for level, values in maps.items() if level not in but and values.any()}
    pairs = (Disagreement(a, b, overlap(tensors[a], tensors[b])) for a, b in combinations(tensors, 2))
    least = min(pairs, key=lambda pair: pair.overlap, default=None)
    return least if least is not None and least.overlap < APART else None
