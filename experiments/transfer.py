"""Measures what the features of a network trained on CIFAR-10 are worth elsewhere, for docs/transfer.md.

Writes results/transfer.json: a linear SVM's accuracy, in 5-fold cross-validation at 32 pixels, on the features of the
trained network and, to compare with, of the same network before any training. The set is Caltech-101, 30 images of
each class, as `caltech101-30perclass.zip` in PAYATTENTION_DATA; the other sets of the paper's table 3 are read by
`payattention transfer` wherever they are.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

import payattention as pa
from payattention.cli.options import LimitOption
from payattention.cli.program import run_script
from payattention.data import limited
from payattention.evaluation.transfer import transfer
from payattention.models import ModelConfig
from payattention.system.files import write_json
from trained import RESULTS, ResultsOption, RunFolder, caltech101, training_of

SEED = 0


def images(limit: int | None) -> pa.ImageSet:
    """All images of Caltech-101's archive, or a few of each class, at 32 pixels."""
    with caltech101() as root:
        data = pa.load_data("caltech101", "all", root=root)
        data = replace(data, images=np.array(data.images))  # in memory, since the folder goes
    return data if limit is None else limited(data, limit)


def untrained(config: ModelConfig) -> pa.Classifier:
    torch.manual_seed(SEED)
    return pa.create_model(config.name, config.num_classes, config.width, **config.options)


def main(run: RunFolder, limit: LimitOption = None, results: ResultsOption = RESULTS) -> None:
    how, trained, data = training_of(run), pa.load(run), images(limit)
    models = {"trained": trained, "untrained": untrained(trained.config)}
    measured: dict[str, Any] = {key: transfer(model, data, seed=SEED).as_json() for key, model in models.items()}
    facts = {"model": how["model"], "trained_by": how["provenance"]["command"]}
    write_json(results / "transfer.json", {**facts, "sets": {"caltech101": measured}})


if __name__ == "__main__":
    run_script(main)
