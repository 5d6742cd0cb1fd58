"""Does a map follow the model, and the class? Each kind of map beside itself after either has been drawn anew.

A second, small table beside that of the metrics (`evaluation.metrics.randomisation`): one row a map, one column for
what was drawn anew, and in each cell the rank correlation with the map as it was, from 1, nothing has changed, over 0,
none has to do with the other. It is measured on a few pictures, and on the methods of few forward passes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from rich.console import Console
from torch import Tensor

from payattention.data import ImageSet, limited
from payattention.data.tensors import images_of
from payattention.errors import PayAttentionError
from payattention.evaluation.comparison.sources import Kind, Source
from payattention.evaluation.metrics import attention_layers, cascade, class_randomisation, model_randomisation
from payattention.models import Classifier
from payattention.system.progress import tracked
from payattention.system.reporting import Table

PICTURES, DRAWS = 12, 5
"""How many are measured; how often all is drawn for each batch of them where maps are trained, and cost one pass."""
_BATCH = 4  # pictures that share their draws, so that three of each are averaged
_STEPS = 4  # parts of the layers
_ATTENTION, _CLASS = "attention alone", "another class"
FOLLOWS = {
    _ATTENTION: "What stays of a trained map when only its attention is drawn at random?",
    "all": "What stays of a map when all layers are?",
    _CLASS: "What stays of it when it is asked for another class?",
}
"""What the columns ask that tell most."""
LIMITS = "1 is all of it, 0 nothing. Near 0 does not make a map right: noise is there, too."


@dataclass(frozen=True)
class Randomised:
    """How far a kind of map stays as it was when something else does not.

    Attributes:
        name: What it is.
        kind: "trained" or "post-hoc".
        pictures: How many it was measured on.
        correlations: By what was drawn anew, from the last layer down, the mean rank correlation over pictures; None
            where it does not apply: post-hoc maps have no attention of their own, and trained maps ask for no class.
    """

    name: str
    kind: Kind
    pictures: int
    correlations: Mapping[str, float | None]


def randomisation(
    model: Classifier,
    found: Sequence[Source],
    data: ImageSet,
    device: torch.device,
    seed: int = 0,
    console: Console | None = None,
) -> tuple[tuple[Randomised, ...], tuple[str, ...]]:
    """The rows of all trained maps and of the post-hoc ones of few forward passes, and a line for each that has none.

    Args:
        model: In evaluation mode, on the device.
        found: What makes the maps, of that very model.
        data: The pictures; a few of them are taken, evenly from the classes.
        device: Where maps are made.
        seed: Of all draws.
        console: Where progress is shown.
    """
    few = limited(data, PICTURES)
    batches = [images_of(few, slice(k, k + _BATCH), device) for k in range(0, len(few), _BATCH)]
    measured = [source for source in found if source.kind != "trivial" and not source.costly]
    rows, left_out = list[Randomised](), list[str]()
    for source in tracked(measured, "randomisation", len(measured), console, unit="methods"):
        try:
            alike = [_likeness(model, source, images, seed + 1000 * k) for k, images in enumerate(batches)]
        except PayAttentionError as error:  # a network of random weights may give maps that are not finite
            left_out.append(f"randomisation of {source.title}: {error}")
            continue
        rows += [Randomised(name, source.kind, len(few), _means([own[name] for own in alike])) for name in alike[0]]
    return tuple(rows), tuple(left_out)


def randomisation_table(rows: Sequence[Randomised]) -> Table:
    """The rows, of which there is one at least, as a table."""
    drawn = list(dict.fromkeys(name for row in rows for name in row.correlations))
    cells = [(row.name, row.kind, *(_shown(row.correlations.get(name)) for name in drawn)) for row in rows]
    title = (
        f"Does a map follow the model? The rank correlation of {rows[0].pictures} pictures' maps with those after "
        "drawing anew ... (1: as before, 0: nothing to do with it)"
    )
    return Table(("map", "kind", *drawn), cells, title)


def _likeness(model: Classifier, source: Source, images: Tensor, seed: int) -> dict[str, dict[str, Tensor]]:
    """By row and by what was drawn anew, rank correlations (n,)."""
    with torch.no_grad():
        logits = model(images)
    labels, of_classes = logits.argmax(1), source.of_classes

    def explain(images: Tensor) -> Mapping[str, Tensor]:
        """Of the class that was predicted, whatever the random network says."""
        return source.maps(images) if of_classes is None else of_classes(images, labels)

    parts, draws = cascade(model, images[:1], _STEPS), 1
    if source.kind == "trained":
        parts, draws = {_ATTENTION: attention_layers(model), **parts}, DRAWS
    found: dict[str, Mapping[str, Tensor]] = {
        **model_randomisation(model, explain, images, parts, draws=draws, seed=seed)
    }
    if of_classes is not None and logits.shape[1] > 1:
        found[_CLASS] = class_randomisation(of_classes, images, labels, logits.shape[1], seed=seed)
    return {row: {drawn: alike[row] for drawn, alike in found.items()} for row in found["all"]}


def _means(batches: Sequence[Mapping[str, Tensor]]) -> dict[str, float | None]:
    means = {drawn: torch.cat([batch[drawn] for batch in batches]).cpu().double().nanmean() for drawn in batches[0]}
    return {drawn: None if mean.isnan() else round(mean.item(), 3) for drawn, mean in means.items()}


def _shown(correlation: float | None) -> str | None:
    return None if correlation is None else f"{round(correlation, 2) + 0.0:.2f}"  # not -0.00
