"""A data set at a glance: its numbers, and a sheet of samples."""

from typing import Any

import numpy as np
from PIL import Image

from payattention.data.imageset import ImageSet
from payattention.pictures.channels import visible
from payattention.pictures.drawing import contact_sheet, cut_out

_ROWS, _COLUMNS = 12, 8
_CHUNK = 1024  # images summed at a time


def statistics(data: ImageSet) -> dict[str, Any]:
    """Counts, sizes, and mean and deviation of each channel in [0, 1] over all pixels."""
    total, squares = np.zeros(data.channels), np.zeros(data.channels)
    for start in range(0, len(data), _CHUNK):
        pixels = data.images[start : start + _CHUNK].reshape(-1, data.channels) / 255
        total += pixels.sum(0)
        squares += np.square(pixels).sum(0)
    mean = total * data.channels / data.images.size
    std = np.sqrt(squares * data.channels / data.images.size - mean**2)
    return {
        "name": data.name,
        "split": data.split,
        "source": data.source,
        "images": len(data),
        "classes": len(data.classes),
        "height": data.images.shape[1],
        "width": data.images.shape[2],
        "mean": [round(value, 4) for value in mean.tolist()],
        "std": [round(value, 4) for value in std.tolist()],
        "object_share": None if data.masks is None else round(_object_share(data), 4),
        "class_counts": dict(zip(data.classes, data.class_counts.tolist(), strict=True)),
        "skipped": list(data.skipped),
    }


def _object_share(data: ImageSet) -> float:
    assert data.masks is not None
    parts = (data.masks[start : start + _CHUNK] for start in range(0, len(data), _CHUNK))
    return sum(int(part.sum()) for part in parts) / data.masks.size


def sample_sheet(data: ImageSet) -> Image.Image:
    """The first images of up to a dozen classes, a class a row; beside each its object, where the set has masks."""
    present = np.flatnonzero(data.class_counts)
    shown = present[np.linspace(0, len(present) - 1, min(_ROWS, len(present))).round().astype(int)]
    rows, labels = [], []
    for label in shown:
        row: list[Image.Image] = []
        for number in np.flatnonzero(data.labels == label)[: _COLUMNS if data.masks is None else _COLUMNS // 2]:
            row.append(visible(data.images[number]))
            if data.masks is not None:
                row.append(cut_out(row[-1], data.masks[number]))
        rows.append(row)
        labels.append(f"{data.classes[label]}: {data.class_counts[label]:,}")
    titles = [""] * _COLUMNS if data.masks is None else ["picture", "object"] * (_COLUMNS // 2)
    return contact_sheet(rows, titles, labels)
