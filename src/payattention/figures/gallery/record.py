"""What a gallery shows of a picture, and how its page holds it."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from PIL import Image

from payattention.attention.maps import FLAT, contrast
from payattention.explaining.explanation import COMBINED, Explanation
from payattention.explaining.methods import title_of
from payattention.figures.self_contained import data_uri, inside_html
from payattention.pictures.channels import with_channels
from payattention.pictures.drawing import fitted

LARGEST_MAP = 56
"""Cells of a map's longer side: what is finer, as a map of pixels, is averaged."""


@dataclass(frozen=True)
class Record:
    """A picture of a gallery.

    Attributes:
        picture: The picture, of any size and mode.
        name: What to call it.
        predicted: The class that the model gives it.
        probabilities: By class, in 0 ... 1: of the most probable ones, the first one first, and of the true one.
        maps: By method and level, float (h, w), >= 0, on their own grids, which lie over the whole picture.
        true: Its class; None where that is not known.
    """

    picture: Image.Image
    name: str
    predicted: str
    probabilities: Mapping[str, float]
    maps: Mapping[str, Mapping[str, NDArray[Any]]]
    true: str | None = None

    @classmethod
    def of(cls, explanations: Sequence[Explanation], side: int, name: str, true: str | None = None) -> "Record":
        """Of what one or several methods say of one picture, which is kept with a longer side of at most `side`."""
        first = explanations[0]
        known = {} if true not in first.classes else {true: float(first.probabilities[first.classes.index(true)])}
        return cls(
            picture=shrunk(first.picture, side),
            name=name,
            predicted=first.label,
            probabilities=first.top | known,
            maps={_title(one): _levels(one) for one in explanations},
            true=true,
        )

    def as_json(self, side: int) -> str:
        """As JSON that can stand inside a script element of HTML, the picture's longer side at most so many pixels."""
        picture = shrunk(self.picture, side)
        value = {
            "name": self.name,
            "predicted": self.predicted,
            "true": self.true,
            "probabilities": [(name, round(float(p), 6)) for name, p in self.probabilities.items()],
            "width": picture.width,
            "height": picture.height,
            "picture": data_uri(picture),
            "maps": {
                method: {level: packed(values) for level, values in levels.items()}
                for method, levels in self.maps.items()
            },
        }
        return inside_html(value)


def shrunk(picture: Image.Image, side: int) -> Image.Image:
    """A picture in RGB whose longer side has at most so many pixels."""
    picture = with_channels(picture, 3)
    return fitted(picture, side) if max(picture.size) > side else picture


def packed(values: Float[np.ndarray, "h w"], reach: tuple[float, float] | None = None) -> dict[str, Any]:
    """A map as the page holds it: its grid, what its least and greatest byte stand for, and the bytes in base64.

    Bytes, not a picture: browsers that guard against being recognised do not let a page read a picture's pixels
    exactly.

    Args:
        values: The map.
        reach: What the least and the greatest byte stand for, so that several maps are coloured alike; what lies beyond
            is cut off. By default the map's own range.

    Returns:
        `grid` and `cells` as [rows, columns], of the map and of what is kept of it; `low` and `high`; `contrast`,
        1 unless the map is nearly flat (`payattention.attention.maps.drawable`); `bytes`.
    """
    kept = _averaged(values)
    low, high = (float(kept.min()), float(kept.max())) if reach is None else reach
    strength = contrast(torch.from_numpy(kept)[None]).item() / FLAT
    return {
        "grid": list(values.shape),
        "cells": list(kept.shape),
        "low": _short(low),
        "high": _short(high),
        "contrast": round(min(1, strength), 3),
        "bytes": base64.b64encode(quantised(kept, reach).tobytes()).decode(),
    }


def quantised(values: Float[np.ndarray, "h w"], reach: tuple[float, float] | None = None) -> UInt8[np.ndarray, "h w"]:
    """A map in 256 steps from its least to its greatest value, or over another range; a constant one is 0."""
    low, high = (values.min(), values.max()) if reach is None else reach
    span = high - low if high > low else 1
    steps: NDArray[np.uint8] = np.round((values.clip(low, high) - low) * (255 / span)).astype(np.uint8)
    return steps


def _averaged(values: Float[np.ndarray, "h w"]) -> NDArray[np.float32]:
    """A map with a longer side of at most `LARGEST_MAP` cells, each the mean of what it covers."""
    values = np.ascontiguousarray(values, np.float32)
    scale = LARGEST_MAP / max(values.shape)
    if scale >= 1:
        return values
    height, width = (max(1, round(side * scale)) for side in values.shape)
    return np.array(Image.fromarray(values).resize((width, height), Image.Resampling.BOX))


def _title(explanation: Explanation) -> str:
    title = title_of(explanation.method)
    return title if explanation.target is None else f"{title} of {explanation.target}"


def _levels(explanation: Explanation) -> dict[str, NDArray[np.float32]]:
    """The maps by level, with the combined one where there is more than one to combine."""
    several = len(explanation.maps) > 1
    return {**explanation.maps, COMBINED: explanation.joint} if several else {**explanation.maps}


def _short(value: float) -> float:
    return float(f"{value:.6g}")
