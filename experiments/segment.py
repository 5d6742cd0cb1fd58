"""Do a CIFAR-10 network's maps find cats and dogs? `python experiments/segment.py runs/cifar10 [--limit N]`.

Measures a trained network's maps against the masks of the Oxford pets, which it has never seen, at the size of its
training (the paper's 32 pixels) and at twice that; writes results/segment.json. Thresholds are chosen on 200 pictures
of the train split. Beside that: what the combined map and a Gaussian about the centre find together, their product, so
that one sees whether the map knows anything that the photographer's habit does not. It takes a few minutes.
"""

import argparse
import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from payattention import Classifier, load
from payattention.attention.maps import stretched
from payattention.cli.output import progress_console
from payattention.data import MaskedPictures, masked_pictures
from payattention.evaluation import segment
from payattention.evaluation.comparison.trivial import centred_gaussian
from payattention.evaluation.metrics import jaccard, otsu_masks, pixel_average_precision
from payattention.evaluation.segment import Segmented
from payattention.runs.folder import RESULT
from payattention.system.files import write_json
from payattention.system.invocation import command_line

OUT = Path(__file__).parent.parent / "results" / "segment.json"
DATA, TUNE, FACTORS = "oxford_pets", 200, (1, 2)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("run", type=Path, help="run folder of a trained model")
    arguments.add_argument("--limit", type=int, help="at most so many pictures of the test split")
    given = arguments.parse_args()
    command_line.set(shlex.join(["python", "experiments/segment.py", *sys.argv[1:]]))

    model, trained = load(given.run), json.loads((given.run / RESULT).read_text(encoding="utf-8"))
    test, train = masked_pictures(DATA, "test"), masked_pictures(DATA, "train").limited(TUNE)
    if given.limit:
        test = test.limited(given.limit)
    sizes = [factor * model.image_size for factor in FACTORS]
    results = [measured(model, test, train, size) for size in sizes]
    facts = {"model": trained["model"], "trained_on": trained["data"]["name"], "error": trained["test"]["error"]}
    write_json(OUT, {**facts, "sizes": results})


def measured(model: Classifier, test: MaskedPictures, train: MaskedPictures, size: int) -> dict[str, Any]:
    together: list[tuple[float, float]] = []

    def product(done: Segmented) -> None:
        heat, truth = torch.from_numpy(done.heat)[None], torch.from_numpy(done.truth)[None]
        both = stretched(heat * centred_gaussian(1, *done.heat.shape))
        together.append((jaccard(otsu_masks(both), truth).item(), pixel_average_precision(both, truth).item()))

    result = segment(model, test, size=size, tune_on=train, each=product, console=progress_console())
    overlap, precision = (round(100 * mean, 2) for mean in np.nanmean(together, axis=0).tolist())
    return {**asdict(result), "times_gaussian": {"jaccard": overlap, "precision": precision}}


if __name__ == "__main__":
    main()
