"""What tests of the studio's page share: what is served, and maps as a page holds them."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

CLASSES = ("cat", "dog", "a <b>class</b>", "bird", "frog", "ship")


class Served(NamedTuple):
    """Where the page is, its models as it calls them, and a picture file."""

    url: str
    seeing: str
    blind: str
    picture: Path


def unpacked(held: Mapping[str, Any]) -> np.ndarray:
    """The bytes of a map, (h, w)."""
    return np.frombuffer(base64.b64decode(held["bytes"]), np.uint8).reshape(held["cells"])
