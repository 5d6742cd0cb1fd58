"""`payattention maps`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from payattention.cli.computing import computes
from payattention.cli.options import (
    HtmlOption,
    JsonOption,
    OutOption,
    RunArgument,
    SizeOption,
    StrictOption,
    check_page,
    new_folder,
    run_name,
)


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
    html: HtmlOption = None,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show where a model looks in your pictures.

    Writes for each level the raw map (.npy) and an overlay at the picture's own size, a mask, one contact sheet of all
    pictures, and manifest.json. With --html, one page instead; with --html and --out, both.
    """
    from payattention.cli.output import print_json, print_page, print_table, progress_console
    from payattention.cli.reading import loaded
    from payattention.pictures.drawing import check_scale
    from payattention.pictures.finding import picture_files, unreadable
    from payattention.weights.header import saved

    check_scale(scale)
    check_page(html)
    folder = new_folder(out, f"maps-{run_name(run)}")
    saved(run).check_has_maps()
    files = picture_files(pictures)

    from payattention.explaining.folder import gallery
    from payattention.figures.gallery import gallery_of_files

    model, console = loaded(run), progress_console()
    if html is not None:
        skipped = unreadable(files, strict, channels=model.in_channels)
        readable = [file for file in files.files if file not in skipped]
        gallery_of_files(model, readable, html, title=run_name(run), size=size, scale=scale, console=console)
        if out is None:
            if as_json:
                print_json({"html": str(html), "pictures": len(readable), "skipped": [*skipped.values()]})
                return
            _print_skipped([*skipped.values()])
            print_page(html, len(readable))
            return
    manifest = gallery(model, files, folder, size=size, scale=scale, strict=strict, console=console)
    if as_json:
        print_json({"out": str(folder), **manifest})
        return
    rows = [(p["picture"], p["label"], f"{p['probability']:.1%}") for p in manifest["pictures"]]
    print_table(("picture", "looks like", "probability"), rows)
    _print_skipped(manifest["skipped"])
    print("contact sheet: " + ", ".join(str(folder / name) for name in manifest["sheets"]))
    if html is not None:
        print_page(html, len(manifest["pictures"]))


def _print_skipped(lines: Sequence[str]) -> None:
    for line in lines:
        print(f"skipped: {line}")
    if lines:
        print(f"skipped in all: {len(lines):,}")
