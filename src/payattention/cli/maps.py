"""`payattention maps`."""

from pathlib import Path
from typing import Annotated

import typer

from payattention.cli.computing import computes
from payattention.cli.options import JsonOption, OutOption, RunArgument, SizeOption, StrictOption, new_folder, run_name


@computes
def maps(
    run: RunArgument,
    pictures: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE",
            help="Picture files, or folders, which are looked through to the bottom.",
            show_default=False,
        ),
    ],
    size: SizeOption = None,
    scale: Annotated[
        str,
        typer.Option(
            metavar="own|fixed",
            help="How maps become colours: each from its least to its greatest value, or the values as they are, from "
            "0 to 1.",
        ),
    ] = "own",
    strict: StrictOption = False,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show where a model looks in your pictures.

    Writes for each level the raw map (.npy) and an overlay at the picture's own size, a mask, one contact sheet of all
    pictures, and manifest.json.
    """
    from payattention.cli.output import print_json, print_table, progress_console
    from payattention.cli.reading import loaded
    from payattention.pictures.drawing import check_scale
    from payattention.pictures.finding import picture_files
    from payattention.weights.header import saved

    check_scale(scale)
    folder = new_folder(out, f"maps-{run_name(run)}")
    saved(run).check_has_maps()
    files = picture_files(pictures)

    from payattention.explaining.folder import gallery

    manifest = gallery(loaded(run), files, folder, size=size, scale=scale, strict=strict, console=progress_console())
    if as_json:
        print_json({"out": str(folder), **manifest})
        return
    rows = [(p["picture"], p["label"], f"{p['probability']:.1%}") for p in manifest["pictures"]]
    print_table(("picture", "looks like", "probability"), rows)
    for skipped in manifest["skipped"]:
        print(f"skipped: {skipped}")
    if manifest["skipped"]:
        print(f"skipped in all: {len(manifest['skipped']):,}")
    print("contact sheet: " + ", ".join(str(folder / name) for name in manifest["sheets"]))
