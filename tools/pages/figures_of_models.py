"""Makes the pages' pictures: `python tools/pages/figures_of_models.py CIFAR_RUN QUICKSTART_RUN`.

Like the paper's figures 3, 5, 7 and 8, with photographs that scikit-image ships and images of the embedded data.
"""

import sys
from pathlib import Path

from PIL import Image
from skimage import data

import payattention as pa
from payattention.evaluation.attacks import FGSM
from payattention.figures.attack import attack_figure
from payattention.figures.side_by_side import activations_figure, maps_figure, masks_figure

FIGURES = Path(__file__).parents[2] / "docs" / "figures"


def main(cifar_run: str, quickstart_run: str) -> None:
    cifar, quickstart = pa.load(cifar_run), pa.load(quickstart_run)
    photographs = {name: _rgb(load()) for name, load in {"cat": data.cat, "rocket": data.rocket}.items()}
    digits = pa.load_data("cluttered_digits", "test")
    images = {f"a {digits.classes[digits.labels[k]]}": Image.fromarray(digits.images[k]) for k in range(2)}
    both = {"CIFAR-10": cifar, "digits": quickstart}
    sheets = {
        "attack": attack_figure({"CIFAR-10": cifar}, photographs, FGSM(), size=40),
        "activations": activations_figure({"CIFAR-10": cifar}, photographs, size=40),
        "maps": maps_figure(both, {**photographs, **images}, size=40),
        "masks": masks_figure({"CIFAR-10": cifar}, photographs, size=40),
    }
    for name, sheet in sheets.items():
        sheet.save(FIGURES / f"{name}.png", optimize=True)


def _rgb(pixels) -> Image.Image:  # type: ignore[no-untyped-def]
    return Image.fromarray(pixels).convert("RGB")


if __name__ == "__main__":
    main(*sys.argv[1:])
