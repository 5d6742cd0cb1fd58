"""Makes the pictures of docs/segmentation.md and docs/the-query.md, like the paper's figures 8 and 10.

On images of the embedded data; it writes docs/figures/segmentation.png and query.png. The second run comes from

    payattention train --data cluttered_digits --model vgg_att2_concat_pc --set compatibility=additive \\
        --width 0.125 --recipe quickstart
"""

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

import payattention as pa
from payattention.cli.program import run_script
from payattention.data.masked import of_images
from payattention.figures.query import query_figure
from payattention.figures.segment import write_segmentation
from photographs import DOCS, QuickstartRun

DIGIT = 3


def main(
    quickstart_run: QuickstartRun,
    additive_run: Annotated[
        Path, typer.Argument(metavar="ADDITIVE_RUN", help="The network that the command trains.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder to write to.", show_default="docs/figures")] = DOCS / "figures",
) -> None:
    models = {"pc": pa.load(quickstart_run), "additive": pa.load(additive_run)}
    images = pa.load_data("cluttered_digits", "test")
    out.mkdir(parents=True, exist_ok=True)
    segmentation(models["pc"], images, out)
    queries(models, images, out)


def segmentation(model: pa.Classifier, images: pa.ImageSet, out: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_segmentation(model, of_images(images.first(5)), Path(folder))
        with Image.open(Path(folder) / "sheet.png") as sheet:
            sheet.save(out / "segmentation.png", optimize=True)


def queries(models: dict[str, pa.Classifier], images: pa.ImageSet, out: Path) -> None:
    query, *targets = (Image.fromarray(image) for image in images.images[np.flatnonzero(images.labels == DIGIT)[:5]])
    named = {f"a {DIGIT}, number {k}": target for k, target in enumerate(targets, 1)}
    query_figure(models, query, named).save(out / "query.png", optimize=True)


if __name__ == "__main__":
    run_script(main)
