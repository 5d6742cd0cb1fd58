"""Measures whether a CIFAR-10 network's maps find cats and dogs, for docs/segmentation.md.

Measures a trained network's maps against the masks of the Oxford pets, which it has never seen, at the size of its
training (the paper's 32 pixels) and at twice that; writes results/segment.json. Thresholds are chosen on 200 pictures
of the train split. Beside that: what the combined map and a Gaussian about the centre find together, their product, so
that one sees whether the map knows anything that the photographer's habit does not. It takes a few minutes.

    python experiments/segment.py runs/cifar10
"""

from typing import Any

import numpy as np
import torch

from payattention import Classifier, load
from payattention.attention.maps import stretched
from payattention.cli.options import LimitOption
from payattention.cli.output import progress_console
from payattention.cli.program import run_script
from payattention.data import MaskedPictures, masked_pictures
from payattention.evaluation import segment
from payattention.evaluation.comparison.trivial import centred_gaussian
from payattention.evaluation.metrics import jaccard, otsu_masks, pixel_average_precision
from payattention.evaluation.segment import Segmented
from payattention.system.files import write_json
from payattention.system.reporting import per_cent
from trained import RESULTS, ResultsOption, RunFolder, training_of

DATA, TUNE, FACTORS = "oxford_pets", 200, (1, 2)


def measured(model: Classifier, test: MaskedPictures, train: MaskedPictures, size: int) -> dict[str, Any]:
    together: list[tuple[float, float]] = []

    def product(done: Segmented) -> None:
        heat, truth = torch.from_numpy(done.heat)[None], torch.from_numpy(done.truth)[None]
        both = stretched(heat * centred_gaussian(1, *done.heat.shape))
        together.append((jaccard(otsu_masks(both), truth).item(), pixel_average_precision(both, truth).item()))

    result = segment(model, test, size=size, tune_on=train, each=product, console=progress_console())
    overlap, precision = (per_cent(mean, 2) for mean in np.nanmean(together, axis=0).tolist())
    return {**result.as_json(), "times_gaussian": {"jaccard": overlap, "precision": precision}}


def main(run: RunFolder, limit: LimitOption = None, results: ResultsOption = RESULTS) -> None:
    trained, model = training_of(run), load(run)
    test, train = masked_pictures(DATA, "test"), masked_pictures(DATA, "train").limited(TUNE)
    if limit is not None:
        test = test.limited(limit)
    sizes = [measured(model, test, train, factor * model.image_size) for factor in FACTORS]
    facts = {"model": trained["model"], "trained_on": trained["data"]["name"], "error": trained["test"]["error"]}
    write_json(results / "segment.json", {**facts, "sizes": sizes})


if __name__ == "__main__":
    run_script(main)
