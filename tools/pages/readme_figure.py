"""Makes the README's picture: `python tools/pages/readme_figure.py CIFAR_RUN QUICKSTART_RUN`.

Photographs that scikit-image ships, seen at 40 pixels by a network trained on CIFAR-10, above images of the embedded
data, seen by the network of `make quickstart`. The labels are what the networks say, right or wrong.
"""

import sys
from pathlib import Path

from PIL import Image
from skimage import data

import payattention as pa
from payattention.pictures.drawing import contact_sheet

PHOTOGRAPHS = {"cat": data.cat, "rocket": data.rocket, "horse": data.horse}


def main(cifar_run: str, quickstart_run: str) -> None:
    photographs = {name: _rgb(load()) for name, load in PHOTOGRAPHS.items()}
    digits = pa.load_data("cluttered_digits", "test")
    images = {f"digit {digits.classes[digits.labels[k]]}": Image.fromarray(digits.images[k]) for k in range(2)}
    rows, labels, columns = [], [], []
    for run, pictures, size in ((cifar_run, photographs, 40), (quickstart_run, images, 32)):
        model = pa.load(run)
        for name, picture in pictures.items():
            explanation = pa.explain(model, picture, size=size)
            panels = explanation.panels
            columns = list(panels)
            rows.append(list(panels.values()))
            labels.append(f"{name}: seen as {explanation.label} ({explanation.probability:.0%})")
    contact_sheet(rows, columns, labels).save(Path(__file__).parents[2] / "docs" / "maps.png", optimize=True)


def _rgb(pixels) -> Image.Image:  # type: ignore[no-untyped-def]
    if pixels.dtype == bool:
        pixels = (255 * pixels).astype("uint8")
    return Image.fromarray(pixels).convert("RGB")


if __name__ == "__main__":
    main(*sys.argv[1:])
