"""Makes the pictures of docs/how-to-read-a-map.md: levels on the embedded digits, styles and classes on photographs.

The digits are seen by the network of `make quickstart`; the photographs, which scikit-image ships, by a wrapped
EfficientNet-Lite0 with ImageNet's weights (the extra `imagenet`), which is looked into by Grad-CAM.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

import payattention as pa
from payattention.cli.program import run_script
from payattention.explaining.sheet import Heading, pages
from payattention.models.timm_backbones.pretrained import create_pretrained
from payattention.pictures.drawing import STYLE, STYLES, contact_sheet
from photographs import DOCS, QuickstartRun, photographs

SHOWN = 6  # digits
CELL = 240  # pixels


def main(
    quickstart_run: QuickstartRun,
    out: Annotated[Path, typer.Option(help="Folder to write to.", show_default="docs/figures")] = DOCS / "figures",
) -> None:
    network = pa.wrap(create_pretrained("tf_efficientnet_lite0", {}))
    seen = photographs("cat", "coffee", "astronaut")
    sheets = {
        "reading-levels": levels(pa.load(quickstart_run)),
        "reading-styles": styles(network, seen),
        "reading-classes": classes(network, seen["cat"]),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, sheet in sheets.items():
        sheet.save(out / f"{name}.png", optimize=True)


def levels(model: pa.Classifier) -> Image.Image:
    """Of the embedded test images the first ones, the first that is mistaken, and the first whose levels disagree."""
    data = pa.load_data("cluttered_digits", "test").first(200)
    found = pa.explain(model, list(data.images))
    truths = [data.classes[label] for label in data.labels]
    wrong = next(k for k, seen in enumerate(found) if seen.label != truths[k])
    apart = next(k for k, seen in enumerate(found) if seen.disagreement is not None and seen.label == truths[k])
    chosen = [*[k for k in range(SHOWN) if k not in (wrong, apart)][: SHOWN - 2], wrong, apart]
    entries = [replace(found[k], true_class=truths[k]).entry(f"test image {k}") for k in chosen]
    return next(pages(entries, Heading(f"{model.name}: attention", STYLE, "own"), len(entries)))


def styles(model: pa.Classifier, pictures: dict[str, Image.Image]) -> Image.Image:
    """A row a photograph, a column a style."""
    found = {name: pa.explain(model, picture) for name, picture in pictures.items()}
    rows = [[seen.picture, *(seen.overlay(style=style, opacity=0.7) for style in STYLES)] for seen in found.values()]
    return contact_sheet(rows, ["picture", *STYLES], [f"{name}: {seen.caption}" for name, seen in found.items()], CELL)


def classes(model: pa.Classifier, picture: Image.Image) -> Image.Image:
    """The maps of the predicted class, of another that is right in its way, and of one that is not there."""
    wanted = ("Egyptian cat", "tabby", "espresso")
    found = {name: pa.explain(model, picture, target=name) for name in wanted}
    captions = [f"{name} ({seen.probabilities[seen.classes.index(name)]:.0%})" for name, seen in found.items()]
    values = np.max([seen.joint.max() for seen in found.values()])
    label = "each map on its own scale; the greatest value of each beside the greatest of all: " + ", ".join(
        f"{seen.joint.max() / values:.0%}" for seen in found.values()
    )
    return contact_sheet(
        [[picture, *(seen.overlay() for seen in found.values())]], ["picture", *captions], [label], CELL
    )


if __name__ == "__main__":
    run_script(main)
