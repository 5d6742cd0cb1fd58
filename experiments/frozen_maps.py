"""Measures where attention on a frozen backbone looks, by what it is set to, for docs/backbone-training.md.

Writes results/frozen_maps.json, a cell at a time: what is there already is kept, so that the command goes on where it
was stopped, unless the recipe has changed since. It needs PAYATTENTION_DATA with `caltech101-30perclass.zip`,
`oxford-iiit-pet-3breeds.zip` and `CUB_200_2011-first20.zip`, and the extra `imagenet`. About an hour on a core.

1. Each way to set up the attention is trained, by the recipe `probe` as `payattention train --freeze` does it, on the
   first 3, 5, 20 and 101 classes of Caltech-101 (15 pictures each), on three breeds of the pets, on 20 species of birds
   and on the embedded digits. The backbone's features, which do not depend on any of it, are computed once and kept in
   `runs/frozen`. The error is that on the test split.

2. Each of these networks looks at whole pictures of test splits, whose masks nobody showed it: at the pets (the animal
   with its undecided border), the birds (their boxes), the digits. Maps are scored as `payattention compare` does it.

3. The default's combined map, of seed 0, is held against the post-hoc maps of the same layers and against a Gaussian
   about the centre, picture by picture.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

import payattention as pa
from frozen import RECIPE, SIZE, Classes, Frozen, Way, command, features_of, trained
from payattention.attention.maps import upsampled
from payattention.cli.options import LimitOption
from payattention.cli.output import progress_console
from payattention.cli.program import run_script
from payattention.evaluation.comparison.intervals import interval
from payattention.evaluation.comparison.sources import COMBINED, Kind, sources
from payattention.evaluation.comparison.verdict import margins
from payattention.evaluation.metrics import jaccard, otsu_masks, pixel_average_precision, pointing_hits
from payattention.models.attentive import AttentiveClassifier
from payattention.models.evaluating import evaluating
from payattention.system.files import write_json
from payattention.system.machine import chosen_device
from payattention.system.names import check_known
from payattention.system.provenance import Stopwatch
from payattention.system.reporting import per_cent
from payattention.training.features import FeatureSet, looks_at, trunk_of
from payattention.training.recipe import load_recipe
from trained import RESULTS, RUNS, ResultsOption

SEEDS = (0, 1, 2)
FEW = 20  # classes: so many are quickly trained on, and vary most with the seed
SEEDS_OF_MANY = (0, 1)
POST_HOC = ("activation", "eigen_cam", "grad_cam", "grad_cam_plus_plus", "xgrad_cam", "hires_cam", "layer_cam")
"""The methods that look no deeper than the layers that attention looks at, so that kept features do for them."""
_BATCH = 64
_TOLERANCE = 2  # pixels, as `payattention compare` has it
_WHOLE = "squash"  # all networks are shown whole pictures, as by `payattention maps`


DEFAULT = "the default"
WAYS = {
    DEFAULT: Way({}),
    "as in the paper": Way({"prior": "none", "scaled": False}),
    "scaled for good": Way({"scaled": True}),
    "scaled for good, no prior": Way({"prior": "none", "scaled": True}),
    "each level's own strength": Way({"prior": "strength"}),
    "8 queries": Way({"queries": 8}),
    "sigmoid": Way({"normaliser": "sigmoid"}),
    "additive": Way({"compatibility": "additive"}, most=FEW),
    "one level": Way({"levels": 1}, most=FEW),
    "centre square": Way({}, crop_mode="center", most=FEW),
    "the wider last layer": Way({}, deepest="final", most=FEW),
}
"""By what the table calls them; the rest is as `train --freeze --crop-mode squash` has it."""


@dataclass(frozen=True)
class Task:
    """What is trained on, and the sets whose objects are looked for."""

    name: str
    on: Classes
    looks_at: tuple[str, ...]
    contest: tuple[str, ...] = ()
    """Of these sets, those on which the default is held against other maps."""


_ANIMALS = ("oxford_pets", "cub200_whole")
TASKS = {
    task.name: task
    for task in (
        Task("3 of Caltech-101", Classes("caltech101", 3), _ANIMALS),
        Task("5 of Caltech-101", Classes("caltech101", 5), _ANIMALS),
        Task("20 of Caltech-101", Classes("caltech101", 20), _ANIMALS),
        Task("101 of Caltech-101", Classes("caltech101", 101), _ANIMALS, contest=_ANIMALS),
        Task("3 breeds of pets", Classes("oxford_pets"), ("oxford_pets",), contest=("oxford_pets",)),
        Task("20 species of birds", Classes("cub200_whole"), ("cub200_whole",), contest=("cub200_whole",)),
        Task("10 digits", Classes("cluttered_digits"), ("cluttered_digits",), contest=("cluttered_digits",)),
    )
}


def asked(name: str) -> dict[str, Any]:
    """The network's options of a way, the recipe's among them: what a cell that was measured must have had, too."""
    return {**load_recipe(RECIPE).model, **WAYS[name].options}


@cache
def network(name: str, task: Task, frozen: Frozen, seed: int) -> AttentiveClassifier:
    """One way's, trained; kept, since the default is measured alone and held against other maps."""
    return trained(WAYS[name], task.on, frozen, seed)


def cell(name: str, task: Task, frozen: Frozen, seed: int) -> dict[str, Any]:
    """One network, trained and measured."""
    way, watch, model = WAYS[name], Stopwatch(), network(name, task, frozen, seed)
    test = features_of(model, way, task.on, frozen, "test")
    found = [look.logits.argmax(1) for look in looks_at(model, test)]
    maps = {}
    for looked in task.looks_at:
        features, masked = frozen.features(looked, "test", _WHOLE, way.deepest), frozen.pictures(looked, "test", _WHOLE)
        maps[looked] = {row: _told(scores) for row, scores in _scores(model, features, masked).items()}
    return {
        "asked": asked(name),
        "command": command(way, task.on, model, seed),
        "tested_on": len(test),
        "error": per_cent((torch.cat(found) != test.labels).double().mean()),
        "maps": maps,
        "provenance": asdict(watch.provenance(chosen_device(), seed)),
    }


@contextmanager
def _seeing(model: AttentiveClassifier, features: dict[str, Tensor]) -> Iterator[Tensor]:
    """Pictures, all black, for which the model's backbone gives these features."""
    trunk, count = trunk_of(model), len(next(iter(features.values())))
    trunk.features = lambda images: features  # type: ignore[method-assign]
    try:
        yield torch.zeros(count, model.in_channels, SIZE, SIZE)
    finally:
        del trunk.features


def _scores(
    model: AttentiveClassifier, features: FeatureSet, masked: pa.ImageSet, post_hoc: Sequence[str] = ()
) -> dict[str, dict[str, Tensor]]:
    """By map and metric, each picture's score, 0 ... 1; with post-hoc methods also those of trivial maps."""
    assert masked.masks is not None
    found: dict[str, list[dict[str, Tensor]]] = {}
    with evaluating(model):
        chosen = [source for source in sources(model, post_hoc)[0] if post_hoc or source.kind == "trained"]
        for number, batch in enumerate(features.only(model.levels).in_order(_BATCH)):
            truth = torch.from_numpy(masked.masks[number * _BATCH : (number + 1) * _BATCH])
            with _seeing(model, batch) as images:
                made = {name: maps for source in chosen for name, maps in source.maps(images).items()}
            for name, maps in made.items():
                found.setdefault(name, []).append(_scored(maps.float(), truth, masks=not post_hoc))
    return {name: {m: torch.cat([part[m] for part in parts]) for m in parts[0]} for name, parts in found.items()}


def _scored(maps: Tensor, truth: Tensor, masks: bool) -> dict[str, Tensor]:
    """Of maps (n, h, w) on any grid; with Otsu's masks, or without."""
    large = upsampled(maps, (truth.shape[1], truth.shape[2]))
    scores = {
        "average_precision": pixel_average_precision(large, truth),
        "pointing": pointing_hits(large, truth, _TOLERANCE),
    }
    return scores | ({"jaccard": jaccard(otsu_masks(large), truth)} if masks else {})


def _told(scores: Mapping[str, Tensor]) -> dict[str, Any]:
    """By metric, the mean in per cent with its interval."""
    told = {}
    for metric, values in scores.items():
        sure = interval(values)
        ends = None if sure is None else [per_cent(sure.low, 2), per_cent(sure.high, 2)]
        told[metric] = {"mean": per_cent(values.nanmean(), 2), "interval": ends}
    return told


def contest(task: Task, looked: str, frozen: Frozen) -> dict[str, Any]:
    """The default's maps and others of the same network: scores, and by metric how far the combined one lies above."""
    watch, model = Stopwatch(), network(DEFAULT, task, frozen, 0)
    features, masked = frozen.features(looked, "test", _WHOLE, "stage"), frozen.pictures(looked, "test", _WHOLE)
    scores = _scores(model, features, masked, POST_HOC)
    kinds: dict[str, Kind] = {}
    with _seeing(model, next(features.only(model.levels).in_order(_BATCH))) as images:
        for source in sources(model, POST_HOC)[0]:
            kinds |= dict.fromkeys(source.maps(images), source.kind)
    above = {
        metric: margins({row: found[metric] for row, found in scores.items()}, kinds) for metric in scores[COMBINED]
    }
    return {
        "asked": asked(DEFAULT),
        "pictures": len(features),
        "rows": {row: {"kind": kinds[row], **_told(found)} for row, found in scores.items()},
        "margins": {metric: {row: asdict(found) for row, found in rows.items()} for metric, rows in above.items()},
        "provenance": asdict(watch.provenance(chosen_device(), 0)),
    }


def measured(
    before: dict[str, Any], ways: Sequence[str], tasks: Sequence[Task], frozen: Frozen, seeds: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """The result so far, after each cell that was not there before as it is asked for; the contests come last."""
    cells, contests = dict(before.get("cells", {})), dict(before.get("contests", {}))
    for seed, name, task in product(seeds, ways, tasks):
        many, key = (task.on.first or 0) > FEW, f"{task.name}; {name}; seed {seed}"
        if many and (seed not in SEEDS_OF_MANY or WAYS[name].most <= FEW):
            continue
        if cells.get(key, {}).get("asked") != asked(name):
            cells[key] = cell(name, task, frozen, seed)
            frozen.console.print(f"{key}: error {cells[key]['error']} %", highlight=False)
            yield {"recipe": RECIPE, "cells": cells, "contests": contests}
    for task, looked in _contests(tasks) if DEFAULT in ways and 0 in seeds else ():
        key = f"{task.name}; {looked}"
        if contests.get(key, {}).get("asked") != asked(DEFAULT):
            contests[key] = contest(task, looked, frozen)
            frozen.console.print(f"{key}: held against {len(contests[key]['rows'])} maps", highlight=False)
            yield {"recipe": RECIPE, "cells": cells, "contests": contests}


def _contests(tasks: Sequence[Task]) -> list[tuple[Task, str]]:
    return [(task, looked) for task in tasks for looked in task.contest]


def main(
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="|".join(WAYS), help="Measure these rows; may be repeated.", show_default=False),
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(metavar="|".join(TASKS), help="Measure these columns; may be repeated.", show_default=False),
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option(help="Measure these seeds; may be repeated.", show_default=False)
    ] = None,
    limit: LimitOption = None,
    features: Annotated[
        Path, typer.Option(help="Folder for the backbone's features.", show_default="runs/frozen")
    ] = RUNS / "frozen",
    results: ResultsOption = RESULTS,
) -> None:
    check_known("way", WAYS, *(only or ()))
    check_known("column", TASKS, *(on or ()))
    file = results / "frozen_maps.json"
    before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    tasks = [TASKS[name] for name in on or TASKS]
    frozen = Frozen(features, limit, progress_console())
    for result in measured(before, only or [*WAYS], tasks, frozen, seed or SEEDS):
        write_json(file, result)


if __name__ == "__main__":
    run_script(main)
