"""Measures what is advised for a frozen backbone, on folders of few and of many classes, for docs/backbone-training.md.

Writes results/advice.json, a cell at a time: what is there already is kept, so that the command goes on where it was
stopped. It needs PAYATTENTION_DATA with `caltech101-30perclass.zip` and `oxford-iiit-pet-3breeds.zip`, and the extra
`imagenet`. Half an hour on a core for the first seed, and half that for each other.

1. Each way to set up the attention is trained, by the recipe `probe` as `payattention train --freeze` does it, on the
   first 3, 5, 20 and 101 classes of Caltech-101 (15 pictures each), and on the three breeds of the pets. The backbone's
   features, which do not depend on any of it, are computed once and kept in `runs/frozen`. The error is that on the
   test split.

2. Each of these networks looks at the pets of the test split, whose masks nobody showed it; those trained on Caltech
   have never seen such a picture either. Maps are scored as `payattention compare` does it: pixel average precision,
   and the Jaccard index of Otsu's mask, on the animal without the border that the annotators left undecided.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import Tensor

import payattention as pa
from frozen import RECIPE, Classes, Frozen, Way, command, features_of, trained
from payattention.attention.maps import upsampled
from payattention.cli.options import LimitOption
from payattention.cli.output import progress_console
from payattention.cli.program import run_script
from payattention.evaluation.comparison.trivial import all_ones, centred_gaussian
from payattention.evaluation.metrics import jaccard, otsu_masks, pixel_average_precision
from payattention.models.attentive import AttentiveClassifier
from payattention.system.files import write_json
from payattention.system.machine import chosen_device
from payattention.system.names import check_known
from payattention.system.provenance import Stopwatch
from payattention.system.reporting import per_cent
from payattention.training.features import FeatureSet, looks_at
from trained import RESULTS, RUNS, ResultsOption

TASKS = {
    "3 of the pets": Classes("oxford_pets"),
    **{f"{count} of Caltech-101": Classes("caltech101", count) for count in (3, 5, 20, 101)},
}
FEW = 20  # classes: so many are quickly trained on, and vary most with the seed
SEEDS = (0, 1, 2)
_BATCH = 64

_NO_PRIOR = {"prior": "none", "scaled": False}
"""As the recipe was when these rows were first measured; frozen_maps.py measures what its prior does."""
WAYS = {
    "pc": Way(_NO_PRIOR, deepest="final"),
    "pc, sigmoid": Way({**_NO_PRIOR, "normaliser": "sigmoid"}, deepest="final"),
    "additive, sigmoid": Way({**_NO_PRIOR, "compatibility": "additive", "normaliser": "sigmoid"}, deepest="final"),
    "pc, one level": Way({**_NO_PRIOR, "levels": 1}, deepest="final"),
    "pc, last stage": Way(_NO_PRIOR),
    "pc, centre square": Way(_NO_PRIOR, crop_mode="center", deepest="final"),
}
"""By what the table calls them; the rest is as the recipe `probe` has it."""


def cell(way: Way, on: Classes, frozen: Frozen, seed: int) -> dict[str, Any]:
    """One network, trained and measured."""
    watch, model = Stopwatch(), trained(way, on, frozen, seed)
    test = features_of(model, way, on, frozen, "test")
    guesses = torch.cat([look.logits.argmax(1) for look in looks_at(model, test)])
    return {
        "command": command(way, on, model, seed),
        "trained_on": len(on.of(frozen.pictures(on.data, "train", way.crop_mode))),
        "tested_on": len(test),
        "error": per_cent((guesses != test.labels).double().mean()),
        "maps": _maps(
            model,
            frozen.features("oxford_pets", "test", way.crop_mode, way.deepest),
            frozen.pictures("oxford_pets", "test", way.crop_mode),
        ),
        "provenance": asdict(watch.provenance(chosen_device(), seed)),
    }


def _maps(model: AttentiveClassifier, features: FeatureSet, masked: pa.ImageSet) -> dict[str, dict[str, float]]:
    """The scores of each level's map and of the combined one."""
    found: dict[str, list[Tensor]] = {}
    for look in looks_at(model, features):
        for name, maps in {**look.maps, "combined": model.combined(look.maps)}.items():
            found.setdefault(name, []).append(maps.float())
    return {name: scored(torch.cat(maps), masked) for name, maps in found.items()}


def scored(maps: Tensor, masked: pa.ImageSet) -> dict[str, float]:
    """Mean pixel average precision and Jaccard index, in per cent, of maps (n, h, w) on any grid."""
    assert masked.masks is not None
    truths, precise, overlap = torch.from_numpy(np.array(masked.masks)), [], []
    for start in range(0, len(maps), _BATCH):
        chosen = slice(start, start + _BATCH)
        large = upsampled(maps[chosen], (truths.shape[1], truths.shape[2]))
        precise.append(pixel_average_precision(large, truths[chosen]))
        overlap.append(jaccard(otsu_masks(large), truths[chosen]))
    return {
        "average_precision": per_cent(torch.cat(precise).nanmean(), 2),
        "jaccard": per_cent(torch.cat(overlap).mean(), 2),
    }


def measured(before: dict[str, Any], ways: Iterable[str], frozen: Frozen) -> Iterator[dict[str, Any]]:
    """The result so far, after each cell that was not there before."""
    trivial, cells = dict(before.get("trivial", {})), dict(before.get("cells", {}))
    for seed, (task, on), name in product(SEEDS, TASKS.items(), ways):
        way, key = WAYS[name], f"{task}; {name}; seed {seed}"
        if key in cells or (seed and (on.first or 0) > FEW):
            continue
        if way.crop_mode not in trivial:
            trivial[way.crop_mode] = _trivial(frozen.pictures("oxford_pets", "test", way.crop_mode))
        cells[key] = cell(way, on, frozen, seed)
        frozen.console.print(f"{key}: error {cells[key]['error']} %, {cells[key]['maps']}", highlight=False)
        yield {"recipe": RECIPE, "trivial": trivial, "cells": cells}


def _trivial(masked: pa.ImageSet) -> dict[str, Any]:
    """What maps that look at nothing score."""
    size = (len(masked), masked.image_size, masked.image_size)
    rows = {"all ones": all_ones(*size), "centred Gaussian": centred_gaussian(*size)}
    return {"pictures": len(masked), **{name: scored(maps, masked) for name, maps in rows.items()}}


def main(
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="|".join(WAYS), help="Measure these rows; may be repeated.", show_default=False),
    ] = None,
    limit: LimitOption = None,
    features: Annotated[
        Path, typer.Option(help="Folder for the backbone's features.", show_default="runs/frozen")
    ] = RUNS / "frozen",
    results: ResultsOption = RESULTS,
) -> None:
    check_known("way", WAYS, *(only or ()))
    file = results / "advice.json"
    before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for result in measured(before, only or WAYS, Frozen(features, limit, progress_console(), border=False)):
        write_json(file, result)


if __name__ == "__main__":
    run_script(main)
