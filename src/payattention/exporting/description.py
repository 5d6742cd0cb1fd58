"""What a file says of itself in its metadata, under one key, as JSON: all that a program needs to use it."""

import json
from typing import Any

from payattention import __version__
from payattention.exporting.outputs import COMBINED, INPUT, LOGITS, map_name
from payattention.exporting.sides import Sides
from payattention.models import Classifier
from payattention.models.preprocessing import MeanStd

KEY = "payattention"


def description(model: Classifier, sides: Sides, precision: str = "float32") -> dict[str, Any]:
    """Of a model's file.

    `classes` are names in the order of the logits; probabilities are the softmax of logits over `temperature`. `maps`
    are the outputs that hold maps, from low to high, with the levels' names. `input` says what goes in: pixels in 0 ...
    1, since the graph normalises them itself by its `preprocessing`; pictures become squares of `size` by `crop_mode`.
    """
    return {
        "version": __version__,
        "model": model.name,
        "precision": precision,
        "input": {
            "name": INPUT,
            "channels": model.in_channels,
            "range": [0, 1],
            "size": [sides.height, sides.width],
            "step": sides.step,
            "least": sides.least if sides.step else None,
            "crop_mode": model.crop_mode,
        },
        "preprocessing": _preprocessing(model),
        "logits": LOGITS,
        "classes": list(model.class_names(model.num_classes)),
        "temperature": model.temperature,
        "maps": {map_name(level): level for level in model.levels},
        "combined": COMBINED if model.levels else None,
    }


def as_text(described: dict[str, Any]) -> str:
    """As it stands in a file: ASCII, which no reader gets wrong."""
    return json.dumps(described)


def _preprocessing(model: Classifier) -> dict[str, Any]:
    """What the graph itself does first."""
    own = model.preprocessing
    found: dict[str, Any] = {"name": type(own).__name__, "in_the_graph": True}
    if isinstance(own, MeanStd):
        found |= {"mean": own.mean.flatten().tolist(), "std": own.std.flatten().tolist()}
    return found
