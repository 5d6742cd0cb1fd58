"""`payattention quickstart`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from payattention.cli.computing import computes
from payattention.cli.options import JsonOption, OutOption, SeedOption, new_folder

if TYPE_CHECKING:
    from rich.console import Console

    from payattention.data import ImageSet

MODEL, WIDTH, RECIPE = "vgg_att2_concat_pc", 0.125, "quickstart"


@computes
def quickstart(
    out: OutOption = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the data; by default 5. Fewer are faster and worse.", show_default=False),
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Look, at photographs; then train, evaluate and look again, on embedded data.

    Seconds: maps of a few photographs, by a network that comes with payattention. A few minutes on a laptop: trains a
    small network on cluttered_digits, measures its error and where its maps peak, and draws a contact sheet of maps.
    """
    from payattention.cli.output import print_json, print_result, print_table, progress_console
    from payattention.cli.reading import Wanted
    from payattention.data import load_data
    from payattention.training.recipe import load_recipe

    recipe = load_recipe(RECIPE, {} if epochs is None else {"epochs": epochs})
    folder = new_folder(out, "quickstart")
    console = progress_console()
    looked = _photographs(folder / "photographs", console)
    console.print("making cluttered_digits: handwritten digits on photographs, among fragments of others")
    train, test = load_data("cluttered_digits", "train"), load_data("cluttered_digits", "test")
    console.print(f"training {MODEL} at width {WIDTH} on {len(train):,} images")

    from payattention.evaluation import pointing
    from payattention.explaining.folder import write_maps
    from payattention.explaining.request import Request
    from payattention.pictures.finding import picture_files
    from payattention.runs.config import RunConfig
    from payattention.runs.experiment import train_and_test
    from payattention.system.invocation import program

    config = RunConfig(MODEL, recipe, width=WIDTH, seed=seed, reading=Wanted("cluttered_digits").anywhere())
    model, result = train_and_test(config, train, test, folder, console=console)
    points = pointing(model, test, seed=seed, console=console)
    pictures = _some_pictures(test, folder / "pictures")
    manifest = write_maps(Request.of(model), picture_files(pictures), folder / "maps", console=console)
    summary = {
        "photographs": looked,
        "run": str(folder),
        "error": result["test"]["error"],
        "pointing": points.as_json(),
        "seconds": result["provenance"]["seconds"],
        "sheet": str(folder / "maps" / manifest["sheets"][0]),
    }
    if as_json:
        print_json(summary)
        return
    print_table(("test images", "error %", "seconds"), [(len(test), summary["error"], summary["seconds"])])
    print_result(points)
    if looked is not None:
        print(f"contact sheet of photographs: {looked['sheet']}")
    print(f"contact sheet of digits: {summary['sheet']}")
    print(f"now try: {program()} maps {folder} YOUR_PICTURE.jpg")


def _photographs(folder: Path, console: "Console") -> dict[str, Any] | None:
    """Maps of photographs by the default of the models that come with the package; None where there are none to see."""
    from payattention.explaining.folder import write_maps
    from payattention.explaining.request import Request
    from payattention.pictures.finding import picture_files
    from payattention.pictures.photographs import photographs
    from payattention.system.machine import chosen_device
    from payattention.system.provenance import Stopwatch
    from payattention.weights.named import named

    if not (files := photographs()):
        console.print("note: this scikit-image brings no photographs to look at")
        return None
    watch, bundled = Stopwatch(), named(None)
    model = bundled.load().to(chosen_device())
    manifest = write_maps(Request.of(model), picture_files(files), folder, console=console)
    sheet, seconds = folder / manifest["sheets"][0], watch.provenance(chosen_device()).seconds
    line = f"where {bundled.text} looks in {len(files)} photographs: {sheet} ({seconds:.1f} s)"
    console.print(line, highlight=False, soft_wrap=True)
    return {"model": bundled.text, "count": len(files), "sheet": str(sheet), "seconds": seconds}


def _some_pictures(data: "ImageSet", folder: Path) -> list[Path]:
    """The first dozen images as files, as a user's own pictures would be."""
    from PIL import Image

    from payattention.system.files import write_picture

    paths = []
    for number, (image, label) in enumerate(zip(data.images[:12], data.labels, strict=False)):
        paths.append(folder / f"{number:02d}-{data.classes[label]}.png")
        write_picture(paths[-1], Image.fromarray(image))
    return paths
