"""Makes four pictures of docs/figures.md, like the paper's figures 3, 5, 7 and 8.

With photographs that scikit-image ships and images of the embedded data; it writes docs/figures/attack.png,
activations.png, maps.png and masks.png.
"""

from pathlib import Path
from typing import Annotated

import typer

import payattention as pa
from payattention.cli.program import run_script
from payattention.evaluation.attacks import FGSM
from payattention.figures.attack import attack_figure
from payattention.figures.side_by_side import activations_figure, maps_figure, masks_figure
from photographs import DOCS, CifarRun, QuickstartRun, digits, photographs


def main(
    cifar_run: CifarRun,
    quickstart_run: QuickstartRun,
    out: Annotated[Path, typer.Option(help="Folder to write to.", show_default="docs/figures")] = DOCS / "figures",
) -> None:
    cifar, quickstart = {"CIFAR-10": pa.load(cifar_run)}, {"digits": pa.load(quickstart_run)}
    seen = photographs("cat", "rocket")
    sheets = {
        "attack": attack_figure(cifar, seen, FGSM(), size=40),
        "activations": activations_figure(cifar, seen, size=40),
        "maps": maps_figure({**cifar, **quickstart}, {**seen, **digits("a")}, size=40),
        "masks": masks_figure(cifar, seen, size=40),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, sheet in sheets.items():
        sheet.save(out / f"{name}.png", optimize=True)


if __name__ == "__main__":
    run_script(main)
