"""Pictures that anyone may show, and a model's maps of them: a sheet that can go wherever the model goes.

A data set's own pictures are never shown so: they have owners.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from payattention.data.readers.cluttered_digits import cluttered_digits
from payattention.explaining.explain import explain_picture
from payattention.explaining.methods import title_of
from payattention.explaining.sheet import Heading, pages, panel_side
from payattention.models import Classifier
from payattention.pictures.drawing import STYLE
from payattention.pictures.photographs import SHOWN, photographs
from payattention.pictures.reading import read_picture

_DIGITS = 4


@dataclass(frozen=True)
class Specimens:
    """Some pictures.

    Attributes:
        pictures: By the name to call them, RGB.
        origin: What they are and whose, in a sentence.
    """

    pictures: Mapping[str, Image.Image]
    origin: str


def specimens(data: str | None = None) -> Specimens:
    """Of the embedded digits for a model that was trained on them, else photographs."""
    return _digits() if data == "cluttered_digits" else _photographs()


def specimen_sheet(model: Classifier, shown: Specimens) -> Image.Image:
    """The pictures with the model's own maps of them, on one page; for a model that has maps and takes RGB."""
    seen = [explain_picture(model, picture, name) for name, picture in shown.pictures.items()]
    side = panel_side(1 + len(seen[0].shown), len(seen))
    heading = Heading(f"{model.name}: {title_of(seen[0].method)}", STYLE, seen[0].scale)
    return next(pages((one.entry(one.name, side=side) for one in seen), heading, len(seen)))


def _photographs() -> Specimens:
    pictures = {file.stem: read_picture(file) for file in photographs(SHOWN)}
    origin = (
        "Photographs that scikit-image ships, in the public domain: Chelsea by Stefan van der Walt (CC0), coffee by "
        "Rachel Michetti (CC0), the rocket by SpaceX. They need not be of the model's classes."
    )
    return Specimens(pictures, origin)


def _digits() -> Specimens:
    images = cluttered_digits("test", _DIGITS)
    pictures = {
        f"a {images.classes[label]}, {k}": Image.fromarray(pixels)
        for k, (pixels, label) in enumerate(zip(images.images, images.labels, strict=True), 1)
    }
    origin = (
        "Test images of the embedded data: handwritten digits of scikit-learn's on crops of two photographs that it "
        "ships, by danielbuechele and vultilion (CC BY 2.0)."
    )
    return Specimens(pictures, origin)
