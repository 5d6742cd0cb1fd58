"""What an evaluation leaves behind: tables, pictures, a sheet of the worst mistakes, and `result.json`."""

import io
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from payattention.data import ImageSet
from payattention.data.same_classes import numbered_as
from payattention.evaluation.calibration import Reliability
from payattention.evaluation.classify import Classification
from payattention.evaluation.confusion import Confusion, as_matrix
from payattention.explaining.methods import ATTENTION
from payattention.explaining.request import Request
from payattention.explaining.sheet import SIDE, Entry, Heading, Panel, pages
from payattention.figures.predictions import csv_writer
from payattention.models import Classifier
from payattention.models.prediction import TOP
from payattention.pictures.channels import visible
from payattention.pictures.drawing import STYLE, cut_out, fitted
from payattention.system.files import replacing, write_json, write_picture, write_table, write_text

_MOST = 12  # mistakes that are shown
_NUMBERED, _NAMED = 20, 60
"""Classes up to which a confusion matrix shows its counts, and its classes' names."""
_LONGEST = 24  # characters of a class's name


def write_evaluation(
    model: Classifier, data: ImageSet, measured: Classification, out: Path, more: dict[str, Any] | None = None
) -> None:
    """Writes what was measured into a folder.

    It gets `classes.csv`, `confusion.csv` and `.png`, `reliability.png`, `predictions.csv` with what was said of every
    image, `mistakes.png` (and -2) where there are any, the surest ones first, and `result.json`, which is written last.

    Args:
        model: What was measured.
        data: The images that it was measured on.
        measured: By `payattention.evaluation.classify`.
        out: The folder.
        more: What else belongs into `result.json`.
    """
    data, _ = numbered_as(data, model.classes)
    scores = [{"class": name, **asdict(own)} for name, own in measured.class_scores.items()]
    write_table(out / "classes.csv", [list(scores[0]), *([*own.values()] for own in scores)])
    matrix = as_matrix(measured.confusion, data.classes)
    rows = [(name, *counts) for name, counts in zip(data.classes, matrix.tolist(), strict=True)]
    write_table(out / "confusion.csv", [("true", *data.classes), *rows])
    _write_figure(out / "confusion.png", confusion_figure(measured.confusion, data.classes))
    _write_figure(out / "reliability.png", reliability_figure(measured.calibration))
    predictions = io.StringIO()
    csv_writer(predictions, min(TOP, len(data.classes)), true=True)(measured.predictions)
    write_text(out / "predictions.csv", predictions.getvalue())
    for number, sheet in enumerate(mistakes_sheets(model, data, measured), 1):
        write_picture(out / f"mistakes{f'-{number}' if number > 1 else ''}.png", sheet)
    write_json(out / "result.json", measured.as_json() | (more or {}))


def mistakes_sheets(model: Classifier, data: ImageSet, measured: Classification) -> list[Image.Image]:
    """The mistakes that a model was surest of: each image, its object if it has one, and the maps.

    Args:
        model: What was measured.
        data: The images with a prediction each, in order.
        measured: The measurement.

    Returns:
        As many pages as they fill; none where there is no mistake.
    """
    wrong = [place for place, one in enumerate(measured.predictions) if one.wrong]
    worst = sorted(wrong, key=lambda place: -measured.predictions[place].probability)[:_MOST]
    if not worst:
        return []
    heading = Heading(
        f"{model.name}, {measured.data}, {measured.split}: {len(worst)} of {len(wrong):,} mistakes, the surest first",
        STYLE,
        "own",
    )
    return list(pages(_entries(model, data, measured, worst), heading, len(worst)))


def _entries(model: Classifier, data: ImageSet, measured: Classification, places: Sequence[int]) -> list[Entry]:
    pictures = [fitted(visible(data.images[place]), SIDE) for place in places]
    said = [measured.predictions[place] for place in places]
    entries = [
        Entry(Path(one.picture).name, f"{one.label} ({one.probability:.0%})", [Panel(picture, "image")], one.true, True)
        for picture, one in zip(pictures, said, strict=True)
    ]
    method = ATTENTION if model.levels else model.posthoc_method
    if method is not None:
        request = Request(model, data.image_size, method=method)
        answers = request.answered([visible(data.images[place]) for place in places], [one.picture for one in said])
        maps = [next(iter(by_class.values())).entry("").panels[1:] for by_class in answers]
        entries = [replace(own, panels=[*own.panels, *found]) for own, found in zip(entries, maps, strict=True)]
    if data.masks is None:
        return entries
    masks = [
        Image.fromarray(np.asarray(data.masks[place])).resize(own.size)
        for place, own in zip(places, pictures, strict=True)
    ]
    objects = [Panel(cut_out(own, np.asarray(mask)), "object") for own, mask in zip(pictures, masks, strict=True)]
    return [
        replace(own, panels=[own.panels[0], thing, *own.panels[1:]])
        for own, thing in zip(entries, objects, strict=True)
    ]


def confusion_figure(counts: Confusion, classes: Sequence[str]) -> Figure:
    """The confusion matrix: a row for each true class, as dark as the share of its images that are told so."""
    matrix = as_matrix(counts, classes)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = min(16.0, 2.5 + 0.35 * len(classes))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(shares, "Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axis, shrink=0.6, label="share of the true class")
    axis.set_xlabel("told as")
    axis.set_ylabel("true class")
    if len(classes) <= _NAMED:
        names = [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..." for name in classes]
        axis.set_xticks(range(len(classes)), names, rotation=90, parse_math=False)
        axis.set_yticks(range(len(classes)), names, parse_math=False)
    if len(classes) <= _NUMBERED:
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                ink = "white" if shares[row, column] > 0.5 else "black"
                axis.text(column, row, f"{count:,}", ha="center", va="center", color=ink)
    return figure


def reliability_figure(measured: Reliability) -> Figure:
    """How often pictures are told right, by how sure the model is of them; and how many are in each bin."""
    figure = Figure(figsize=(4.5, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = [own for own in measured.bins if own.accuracy is not None]
    left, width = [own.low for own in filled], 100 / len(measured.bins)
    above.bar(left, [own.accuracy for own in filled], width, align="edge", edgecolor="white", label="told right")
    above.plot((0, 100), (0, 100), color="0.3", linestyle="--", label="as sure as right")
    above.plot([own.confidence for own in filled], [own.accuracy for own in filled], "o", color="black", markersize=3)
    above.set_ylabel("told right, %")
    above.set_title(f"expected calibration error {measured.ece:.1f} %", fontsize="medium")
    above.legend(fontsize="small")
    below.bar(left, [own.count for own in filled], width, align="edge", color="0.6", edgecolor="white")
    below.set_ylabel("images")
    below.set_xlabel("probability of the predicted class, %")
    return figure


def _write_figure(path: Path, figure: Figure) -> None:
    with replacing(path) as partial:
        figure.savefig(partial, dpi=120)
