"""Makes two of the pages' pictures: `python tools/pages/figures_of_masks_and_queries.py QUICKSTART_RUN ADDITIVE_RUN`.

Like the paper's figures 8 and 10, on images of the embedded data. The second run comes from

    payattention train --data cluttered_digits --model vgg_att2_concat_pc --set compatibility=additive \\
        --width 0.125 --recipe quickstart
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import payattention as pa
from payattention.data.masked import of_images
from payattention.figures.query import query_figure
from payattention.figures.segment import segment_gallery

FIGURES = Path(__file__).parents[2] / "docs" / "figures"
DIGIT = 3


def main(quickstart_run: str, additive_run: str) -> None:
    models = {"pc": pa.load(quickstart_run), "additive": pa.load(additive_run)}
    digits = pa.load_data("cluttered_digits", "test")
    FIGURES.mkdir(exist_ok=True)
    segmentation(models["pc"], digits)
    queries(models, digits)


def segmentation(model: pa.Classifier, digits: pa.ImageSet) -> None:
    with tempfile.TemporaryDirectory() as folder:
        segment_gallery(model, of_images(digits.first(5)), Path(folder))
        with Image.open(Path(folder) / "sheet.png") as sheet:
            sheet.save(FIGURES / "segmentation.png", optimize=True)


def queries(models: dict[str, pa.Classifier], digits: pa.ImageSet) -> None:
    query, *targets = (Image.fromarray(image) for image in digits.images[np.flatnonzero(digits.labels == DIGIT)[:5]])
    named = {f"a {DIGIT}, number {k}": target for k, target in enumerate(targets, 1)}
    query_figure(models, query, named).save(FIGURES / "query.png", optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
