"""Makes a model that comes with the package, and measures it, for docs/weights.md.

Trains it as its card says, unless RUN is given, and writes two files into the package:

- NAME.safetensors, in float16, without what need not be in it: parameters that no output depends on, and a frozen
  backbone whose weights the extra `imagenet` brings;
- NAME.json, its card: how it was trained, and what was measured of the weights as they lie in the file, loaded again:
  the error on the test split; where the maps of attention on a backbone find pets that it never saw; and how far
  another picture's query moves maps that can be moved.

It needs PAYATTENTION_DATA with the sets in it: `caltech101` and `oxford_pets`, or `cifar10` as parquet files.
"""

import hashlib
import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image

import payattention as pa
from payattention.cli.program import run_script
from payattention.data import CATALOGUE
from payattention.data.masked import masked_pictures
from payattention.data.samples import Sample
from payattention.errors import CheckpointError, PayAttentionError, UsageError
from payattention.evaluation import classify
from payattention.evaluation.comparison.intervals import interval
from payattention.evaluation.metrics import jaccard, pointing_hits
from payattention.evaluation.query import query_effect
from payattention.models import Classifier
from payattention.models.timm_backbones.pretrained import bringing
from payattention.system.files import write_json
from payattention.system.machine import chosen_device
from payattention.system.names import Registry
from payattention.system.provenance import Stopwatch
from payattention.system.reporting import per_cent
from payattention.weights.bundled import FOLDER, Card
from payattention.weights.header import RESULT
from trained import ROOT, RUNS, training_of


@dataclass(frozen=True)
class Plan:
    """What a bundled model is to be.

    Attributes:
        summary: In a line.
        training: The words of `payattention` that train it.
        pictures: The set that it is trained on, as the catalogue has it.
        finds_pets: Whether its maps are measured on pets.
    """

    summary: str
    training: str
    pictures: str
    finds_pets: bool = False


PLANS: Registry[Plan] = Registry(
    "bundled model",
    {
        "efficientnet_lite0_att2.caltech101": Plan(
            "101 kinds of things and animals (Caltech-101), attention on a frozen EfficientNet-Lite0",
            "train --model timm:tf_efficientnet_lite0 --pretrained --freeze --crop-mode squash --set scaled=true "
            "--data caltech101 --seed 0",
            "caltech101",
            finds_pets=True,
        ),
        "efficientnet_lite0_att2_additive.caltech101": Plan(
            "the same kinds, with attention that another picture's query can move",
            "train --model timm:tf_efficientnet_lite0 --pretrained --freeze --set compatibility=additive "
            "--set scaled=false --crop-mode squash --data caltech101 --seed 0",
            "caltech101",
        ),
        "vgg_att2_concat_pc.cifar10": Plan(
            "ten kinds of things and animals (CIFAR-10), a small network for small pictures",
            "train --model vgg_att2_concat_pc --width 0.25 --data parquet:cifar10",
            "cifar10",
        ),
    },
)
_FACTS = ("model", "data", "recipe", "seed", "test", "provenance")


def trained_by(plan: Plan, name: str) -> Path:
    """The run of a plan, runs/NAME; trained now unless it is there."""
    run = RUNS / name
    if not (run / RESULT).is_file():
        words = ["payattention", *plan.training.split(), "--out", str(run.relative_to(ROOT))]
        if subprocess.run([sys.executable, "-m", *words], cwd=ROOT, check=False).returncode:
            raise PayAttentionError(f"{' '.join(words)} failed; its own message stands above")
    return run


def facts_of(run: Path) -> dict[str, Any]:
    """How the model of a run was trained; or that of weights with a card beside them.

    Raises:
        CheckpointError: It was not measured on the test split.
    """
    if run.suffix == ".safetensors":
        card: dict[str, Any] = json.loads(run.with_suffix(".json").read_text(encoding="utf-8"))
        facts: dict[str, Any] = card["trained"]
    else:
        facts = {key: value for key, value in training_of(run).items() if key in _FACTS}
    if facts["data"]["measured_on"] != "test":
        raise CheckpointError(f"{run} was measured on {facts['data']['measured_on']}: train it without --hold-out")
    return facts


def packed(model: Classifier, file: Path) -> str | None:
    """Writes what has to be in the file; returns the module that brings the rest, None where there is none."""
    with suppress(UsageError):  # every parameter counts, or the others are gone already
        model = pa.prune(model)
    brought = bringing(model.config.name.removeprefix("timm:")) if model.config.options.get("freeze") else None
    pa.save(model, file, dtype=torch.float16, backbone=brought is None)
    return brought


def test_error(model: Classifier, facts: dict[str, Any]) -> dict[str, Any]:
    """On the test split of the set that it was trained on, in the model's own form."""
    name, size, crop_mode = facts["data"]["name"], model.image_size, model.crop_mode
    return classify(model, pa.load_data(name, "test", image_size=size, crop_mode=crop_mode), facts["seed"]).as_json()


def moved_by_queries(model: Classifier, facts: dict[str, Any]) -> dict[str, Any]:
    """How far the query of a picture of another class moves the maps of those of the test split."""
    data = pa.load_data(facts["data"]["name"], "test", image_size=model.image_size, crop_mode=model.crop_mode)
    return query_effect(model, data, facts["seed"]).as_json()


def pets_found(model: Classifier) -> dict[str, Any]:
    """On the pets' test split, each picture at its own size: Otsu's mask against the animal with its undecided border,
    and how often the combined map's one peak lies on it, to the pixel."""
    watch, data = Stopwatch(), masked_pictures("oxford_pets", "test")
    scores = np.array([_scores(model, sample) for sample in data.samples])  # (n, 2)
    told: dict[str, Any] = {"data": data.name, "split": data.split, "source": data.source, "count": len(data)}
    for metric, values in zip(("jaccard", "pointing"), torch.from_numpy(scores).T, strict=True):
        sure = interval(values)
        told[metric] = per_cent(values.mean(), 2)
        told[f"{metric}_interval"] = None if sure is None else [per_cent(sure.low, 2), per_cent(sure.high, 2)]
    return {**told, "provenance": asdict(watch.provenance(chosen_device()))}


def _scores(model: Classifier, sample: Sample) -> tuple[float, float]:
    assert isinstance(sample.picture, Path)
    assert isinstance(sample.mask, Path)
    with Image.open(sample.mask) as trimap:
        truth = torch.from_numpy(np.asarray(trimap) != 2)[None]  # 1 is the animal, 3 its border, 2 all else
    found = pa.explain(model, sample.picture)
    overlap = jaccard(torch.from_numpy(found.mask)[None], truth)
    hits = pointing_hits(torch.from_numpy(found.combined)[None], truth, tolerance=0)
    return float(overlap), float(hits)


def main(
    name: Annotated[str, typer.Argument(metavar="|".join(PLANS), help="Which one.", show_default=False)],
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN",
            help="Run folder of the trained network, or weights with a card; by default runs/NAME, which is trained "
            "where it is not there.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.", show_default="the package's")] = FOLDER,
) -> None:
    plan = PLANS[name]
    run = trained_by(plan, name) if run is None else run
    facts, file = facts_of(run), out / f"{name}.safetensors"
    needs = packed(pa.load(run), file)
    model = pa.load(file)
    measured = {"test": test_error(model, facts)} | ({"pets": pets_found(model)} if plan.finds_pets else {})
    if model.query_dim:
        measured["query"] = moved_by_queries(model, facts)
    pictures = CATALOGUE[plan.pictures]
    card = Card(
        name=name,
        summary=plan.summary,
        needs=needs,
        error=measured["test"]["error"],
        size=file.stat().st_size,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        licence={"weights": "Apache-2.0", "pictures": pictures.licence, "citation": pictures.citation},
        trained=facts,
        measured=measured,
    )
    write_json(out / f"{name}.json", card.model_dump())
    print(f"{file}: {card.size / 1e6:.2f} MB, error {card.error} %")
    if plan.finds_pets:
        print(f"pets: Jaccard {measured['pets']['jaccard']} %, pointing {measured['pets']['pointing']} %")


if __name__ == "__main__":
    run_script(main)
