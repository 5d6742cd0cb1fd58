"""Makes the picture of README.md, docs/maps.png: photographs and digits, and where two networks look.

Photographs that scikit-image ships, seen at 40 pixels by a network trained on CIFAR-10, above images of the embedded
data, seen by the network of `make quickstart`. The labels are what the networks say, right or wrong.
"""

from pathlib import Path
from typing import Annotated

import typer

import payattention as pa
from payattention.cli.program import run_script
from payattention.pictures.drawing import contact_sheet
from photographs import DOCS, CifarRun, QuickstartRun, digits, photographs


def main(
    cifar_run: CifarRun,
    quickstart_run: QuickstartRun,
    out: Annotated[Path, typer.Option(help="Folder to write to.", show_default="docs")] = DOCS,
) -> None:
    rows, labels, columns = [], [], []
    seen = photographs("cat", "rocket", "horse")
    for run, pictures, size in ((cifar_run, seen, 40), (quickstart_run, digits("digit"), 32)):
        model = pa.load(run)
        for name, picture in pictures.items():
            explanation = pa.explain(model, picture, size=size)
            panels = explanation.panels
            columns = list(panels)
            rows.append(list(panels.values()))
            labels.append(f"{name}: seen as {explanation.label} ({explanation.probability:.0%})")
    out.mkdir(parents=True, exist_ok=True)
    contact_sheet(rows, columns, labels).save(out / "maps.png", optimize=True)


if __name__ == "__main__":
    run_script(main)
