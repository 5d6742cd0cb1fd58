"""What are the features of a network trained on CIFAR-10 worth elsewhere? `python experiments/transfer.py RUN`.

Writes results/transfer.json: a linear SVM's accuracy, in 5-fold cross-validation at 32 pixels, on the features of the
trained network and, to compare with, of the same network before any training. The set is Caltech-101, 30 images of
each class, as `caltech101-30perclass.zip` in PAYATTENTION_DATA; the other sets of the paper's table 3 are read by
`payattention transfer` wherever they are.
"""

import json
import os
import sys
import tempfile
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import payattention as pa
from payattention.evaluation.transfer import transfer
from payattention.models import ModelConfig
from payattention.runs.folder import RESULT
from payattention.system.files import write_json

RESULTS = Path(__file__).parent.parent / "results"
SEED = 0


def caltech101() -> pa.ImageSet:
    """All images of the archive, at 32 pixels."""
    with tempfile.TemporaryDirectory() as root:
        with zipfile.ZipFile(Path(os.environ["PAYATTENTION_DATA"], "caltech101-30perclass.zip")) as archive:
            archive.extractall(Path(root, "caltech101"))
        data = pa.load_data("caltech101", "all", root=Path(root))
        return replace(data, images=np.array(data.images))  # in memory, since the folder goes


def untrained(config: ModelConfig) -> pa.Classifier:
    torch.manual_seed(SEED)
    return pa.create_model(config.name, config.num_classes, config.width, **config.options)


def main(run: str) -> None:
    trained = pa.load(run)
    models = {"trained": trained, "untrained": untrained(trained.config)}
    data = caltech101()
    measured: dict[str, Any] = {key: asdict(transfer(model, data, seed=SEED)) for key, model in models.items()}
    for part in measured.values():
        part["provenance"]["command"] = f"python experiments/transfer.py {run}"
    how = json.loads(Path(run, RESULT).read_text(encoding="utf-8"))
    facts = {"model": how["model"], "trained_by": how["provenance"]["command"]}
    write_json(RESULTS / "transfer.json", {**facts, "sets": {"caltech101": measured}})


if __name__ == "__main__":
    main(sys.argv[1])
