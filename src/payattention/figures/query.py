"""One picture asks many: a folder of maps under either query, a sheet like the paper's figure 10, and a manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from payattention.attention.maps import enlarged
from payattention.errors import DataError, none_of
from payattention.evaluation.query import Answer, ask, check_can_ask, is_blind
from payattention.explaining.folder import unique_names
from payattention.models import Classifier
from payattention.pictures.channels import with_channels
from payattention.pictures.drawing import CHANGE_MAP, contact_sheet, overlay
from payattention.pictures.finding import Named, unreadable
from payattention.pictures.reading import read_picture
from payattention.system.files import write_array, write_json, write_picture
from payattention.system.names import check_known
from payattention.system.progress import tracked
from payattention.system.provenance import Stopwatch
from payattention.system.reporting import per_cent

# the change that the deepest colour stands for: from 1 %, so that rounding errors stay grey, to 100 %, so that what was
# next to nothing before does not outshine the rest
_LEAST_SCALE, _MOST_SCALE = 0.01, 1.0
_MOST = 24  # rows of a sheet


def write_query(
    model: Classifier,
    query: Path,
    targets: Named,
    out: Path,
    *,
    size: int | None = None,
    level: str | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Asks every target and writes its maps (.npy) by level, `sheet.png` of one level, and `manifest.json`.

    A damaged picture that was named itself is an error before anything is written; one that a folder holds is left out
    and listed.

    Args:
        model: A model with a query.
        query: The picture that asks.
        targets: The pictures that answer (`payattention.pictures.finding.picture_files`).
        out: A folder.
        size: Shorter side of the pictures as the model sees them, in pixels; by default that of its training.
        level: The level that the sheet shows; by default the last but one, as in the paper.
        console: Where a progress bar is shown.

    Returns:
        The manifest: `distance` by level is the mean total variation between the maps under the two queries, `changed`
        the share of predictions, in per cent, that the other query changes.
    """
    watch = Stopwatch()
    check_can_ask(model, size)
    level = shown_level([model], level)
    channels = model.in_channels
    asking = read_picture(query, channels=channels)
    answers, skipped = _answers(model, asking, targets, size, console)
    names = unique_names([*answers])
    sheets: list[str] = []
    for start in range(0, len(answers), _MOST):
        own = {target: answers[target] for target in [*answers][start : start + _MOST]}
        shown = {names[target]: with_channels(read_picture(target, channels=channels), 3) for target in own}
        sheet = query_sheet(with_channels(asking, 3), shown, {"": [*own.values()]}, level)
        sheets.append(write_picture(out / (f"sheet-{len(sheets) + 1}.png" if sheets else "sheet.png"), sheet))
    distances = {name: fmean(answer.distance[name] for answer in answers.values()) for name in model.levels}
    changed = [answer.label != answer.asked_label for answer in answers.values()]
    manifest = {
        "model": model.name,
        "query": str(query),
        "blind": is_blind(model),
        "distance": _rounded(distances),
        "changed": per_cent(np.mean(changed)),
        "level": level,
        "pictures": [_listed(target, answer, _save(answer, out, names[target])) for target, answer in answers.items()],
        "skipped": [*skipped.values()],
        "sheet": sheets[0],
        "sheets": sheets,
        "provenance": asdict(watch.provenance(model.device)),
    }
    write_json(out / "manifest.json", manifest)
    return manifest


def _answers(
    model: Classifier, asking: Image.Image, targets: Named, size: int | None, console: Console | None
) -> tuple[dict[Path, Answer], dict[Path, str]]:
    """The answers of the pictures that can be asked, and why the others cannot."""
    skipped = unreadable(targets, channels=model.in_channels)
    answers: dict[Path, Answer] = {}
    for target in tracked([*targets.files], "asking", len(targets.files), console, unit="pictures"):
        if target not in skipped:
            try:
                answers[target] = ask(model, asking, read_picture(target, channels=model.in_channels), size=size)
            except DataError as error:
                skipped[target] = f"{target}: {error}"
    if not answers:
        raise none_of("the pictures", "asked", next(iter(skipped.values())))
    return answers, skipped


def _listed(target: Path, answer: Answer, files: Mapping[str, str]) -> dict[str, Any]:
    """A picture as the manifest has it."""
    return {
        "picture": str(target),
        "label": answer.label,
        "asked_label": answer.asked_label,
        "distance": _rounded(answer.distance),
        "files": files,
    }


def query_figure(
    models: Mapping[str, Classifier],
    query: Image.Image,
    targets: Mapping[str, Image.Image],
    *,
    size: int | None = None,
) -> Image.Image:
    """`query_sheet` of several models, at the last but one level of the first.

    Args:
        models: By the name to call them.
        query: The picture that asks, RGB.
        targets: The pictures that answer, RGB, by the name to call them.
        size: Shorter side of the pictures as the models see them, in pixels; by default that of their training.

    Raises:
        UsageError: A model without a query or without that level, or a size that it cannot take.
    """
    for model in models.values():
        check_can_ask(model, size)
    level = shown_level(list(models.values()))
    answers = {
        name: [ask(model, query, target, size=size) for target in targets.values()] for name, model in models.items()
    }
    return query_sheet(query, targets, answers, level)


def query_sheet(
    query: Image.Image,
    targets: Mapping[str, Image.Image],
    answers: Mapping[str, Sequence[Answer]],
    level: str,
) -> Image.Image:
    """A row for each target; for each model the map under its own query, under the other's, and the change.

    A picture's two maps share one scale. The change is red where the map grew, blue where it shrank; the label says
    how much the deepest colour stands for.

    Args:
        query: The picture that asks.
        targets: The pictures that answer, by the name to call them.
        answers: By the name to call the model, an answer for each target.
        level: The level to show.
    """
    rows, labels = [], []
    for row, (name, target) in enumerate(targets.items()):
        panels, facts = {"query": query, "target": target}, []
        for model_name, own in answers.items():
            prefix = f"{model_name}: " if model_name else ""
            drawn, most = _drawn(own[row], target, level)
            panels |= {f"{prefix}{what}": picture for what, picture in drawn.items()}
            facts.append(f"{prefix}{_fact(own[row], level)} (deepest colour: ±{most:.0%})")
        rows.append(list(panels.values()))
        labels.append(f"{name}  {'; '.join(facts)}")
    return contact_sheet(rows, list(panels), labels)


def shown_level(models: Sequence[Classifier], level: str | None = None) -> str:
    """The level to show of models that may have others: the last but one of the first model, or the one asked for.

    Raises:
        UsageError: A level that one of them lacks.
    """
    level = level or models[0].levels[-2:][0]
    for model in models:
        check_known(f"level of {model.name}", model.levels, level)
    return level


def deepest(change: NDArray[np.float32]) -> float:
    """The change of a map that the deepest colour stands for, as a share of what was."""
    return float(np.abs(change).max().clip(_LEAST_SCALE, _MOST_SCALE))


def _drawn(answer: Answer, target: Image.Image, level: str) -> tuple[dict[str, Image.Image], float]:
    own, asked, change = (_enlarged(maps[level], target) for maps in (answer.own, answer.asked, answer.change))
    brightest = max(own.max(), asked.max(), np.finfo(np.float32).tiny)
    most = deepest(answer.change[level])
    return {
        "own query": overlay(target, own / brightest),
        "asked": overlay(target, asked / brightest),
        "change": overlay(target, ((change / most + 1) / 2).clip(0, 1).astype(np.float32), colours=CHANGE_MAP),
    }, most


def _fact(answer: Answer, level: str) -> str:
    said = answer.label if answer.label == answer.asked_label else f"{answer.label}, asked: {answer.asked_label}"
    return f"{said}, moved by {answer.distance[level]:.3f}"


def _enlarged(values: NDArray[np.float32], picture: Image.Image) -> NDArray[np.float32]:
    return enlarged(torch.from_numpy(values)[None], (picture.height, picture.width))[0].numpy()


def _save(answer: Answer, out: Path, name: str) -> dict[str, str]:
    kinds = {"own": answer.own, "asked": answer.asked, "change": answer.change}
    return {
        f"{level} {kind}": write_array(out / f"{name}.{level}.{kind}.npy", values)
        for kind, maps in kinds.items()
        for level, values in maps.items()
    }


def _rounded(distances: Mapping[str, float]) -> dict[str, float]:
    return {name: round(distance, 6) for name, distance in distances.items()}
