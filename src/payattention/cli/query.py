"""`payattention query`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from payattention.cli.computing import computes
from payattention.cli.model_argument import of_a_model
from payattention.cli.options import JsonOption, OutOption, SizeOption, new_folder

if TYPE_CHECKING:
    from payattention.weights.named import NamedModel

BLIND = (
    "no query can change this model's maps: to its scores the query adds the same number at every position, and the "
    "softmax over positions cancels it (docs/the-query.md); to ask, train with --set compatibility=additive or dp"
)


@computes
@of_a_model
def query(
    run: "NamedModel",
    picture: Annotated[Path, typer.Argument(metavar="QUERY", help="The picture that asks.", show_default=False)],
    targets: Annotated[
        list[Path],
        typer.Argument(metavar="TARGET...", help="The pictures that are asked: files, or folders.", show_default=False),
    ],
    size: SizeOption = None,
    level: Annotated[
        str | None,
        typer.Option(help="The level that the sheet shows; by default the last but one (paper: layer10)."),
    ] = None,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask where in some pictures is what a model sees in another.

    Compares each target's maps under its own query and under that of QUERY. Writes both and their relative change
    (.npy) for each level, a sheet of one level, and manifest.json.
    """
    from payattention.cli.output import print_json, print_left_out, print_table, progress_console
    from payattention.cli.reading import loaded
    from payattention.pictures.finding import picture_files

    folder = new_folder(out, f"query-{run.title}")
    run.check_has_query(level)
    picture_files([picture])  # it is there
    files = picture_files(targets)

    from payattention.figures.query import write_query

    manifest = write_query(loaded(run), picture, files, folder, size=size, level=level, console=progress_console())
    print_left_out(manifest["skipped"])
    if manifest["blind"]:
        print(f"note: {BLIND}", file=sys.stderr)
    if as_json:
        print_json({"out": str(folder), **manifest})
        return
    rows = [(p["picture"], p["label"], p["asked_label"], *p["distance"].values()) for p in manifest["pictures"]]
    rows.append(("mean", "", "", *manifest["distance"].values()))
    columns = ("picture", "looks like", "asked, like", *(f"{name} moves by" for name in manifest["distance"]))
    print_table(columns, rows, "total variation between the maps under the two queries, 0 ... 1")
    print(f"sheet of {manifest['level']}: " + ", ".join(str(folder / sheet) for sheet in manifest["sheets"]))
