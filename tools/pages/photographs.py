"""What the pages' pictures are made of: photographs that scikit-image ships, the embedded data, two trained runs."""

from pathlib import Path
from typing import Annotated

import typer
from PIL import Image
from skimage import data

import payattention as pa

DOCS = Path(__file__).parents[2] / "docs"
CifarRun = Annotated[
    Path, typer.Argument(metavar="CIFAR_RUN", help="A network trained on CIFAR-10.", show_default=False)
]
QuickstartRun = Annotated[
    Path, typer.Argument(metavar="QUICKSTART_RUN", help="The network of `make quickstart`.", show_default=False)
]


def photographs(*names: str) -> dict[str, Image.Image]:
    """Photographs by the names that scikit-image has for them; its silhouettes in black and white."""
    pixels = {name: getattr(data, name)() for name in names}
    return {
        name: Image.fromarray((255 * p).astype("uint8") if p.dtype == bool else p).convert("RGB")
        for name, p in pixels.items()
    }


def digits(title: str) -> dict[str, Image.Image]:
    """The first two test images of the embedded data, by a title before their class."""
    images = pa.load_data("cluttered_digits", "test")
    return {f"{title} {images.classes[images.labels[k]]}": Image.fromarray(images.images[k]) for k in range(2)}
