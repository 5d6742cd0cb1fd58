"""`payattention data`."""

from pathlib import Path
from typing import Annotated

import typer

from payattention.cli.options import CropModeOption, DataRootOption, JsonOption, SplitOption, StrictOption, picture_file


def data(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="A data set; without it, all are listed.", show_default=False),
    ] = None,
    split: SplitOption = "train",
    image_size: Annotated[
        int | None, typer.Option(help="Side of the images in pixels; by default the data's own.")
    ] = None,
    crop_mode: CropModeOption = "center",
    out: Annotated[
        Path | None, typer.Option(help="File for the sample sheet; by default NAME-SPLIT.png here.", show_default=False)
    ] = None,
    strict: StrictOption = False,
    download: Annotated[bool, typer.Option("--download", help="Fetch the set first, where that can be done.")] = False,
    data_root: DataRootOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the data sets, or show one.

    Of one: what is in it, a sheet of samples, and what could not be read.
    """
    from payattention.errors import UsageError

    if name is not None:
        _show(name, split, image_size, crop_mode, out, strict, download, data_root, as_json)
    elif download or strict or out:
        raise UsageError("--download, --strict and --out are for one data set: name it")
    else:
        _list(data_root, as_json)


def _list(root: Path | None, as_json: bool) -> None:
    from dataclasses import asdict

    from payattention.cli.output import print_json, print_table
    from payattention.data import CATALOGUE
    from payattention.data.load import how_to_get, state
    from payattention.data.places import data_root

    states = {name: state(facts, root) for name, facts in CATALOGUE.items()}
    if as_json:
        sets = [{**asdict(facts), "state": states[name]} for name, facts in CATALOGUE.items()]
        print_json({"root": str(data_root(root)), "sets": sets})
        return
    rows = []
    for name, facts in CATALOGUE.items():
        counts = ", ".join(f"{split} {count:,}" for split, count in facts.counts.items())
        size = f"{facts.megabytes:,} MB" if facts.megabytes else "-"
        rows.append((name, states[name], facts.classes, counts, f"{facts.size} px", size, facts.masks or "-"))
    columns = ("data set", "state", "classes", "images", "size", "download", "masks")
    print_table(columns, rows, f"data root: {data_root(root)}")
    print("Your own pictures: folder:PATH with a folder for each class; parquet:PATH for a Hugging Face copy.")
    for name, facts in CATALOGUE.items():
        if states[name] == "to be placed by hand":
            print(f"\n{name}: {how_to_get(facts, root)}")


def _show(
    name: str,
    split: str,
    image_size: int | None,
    crop_mode: str,
    out: Path | None,
    strict: bool,
    download: bool,
    root: Path | None,
    as_json: bool,
) -> None:
    from payattention.cli.output import print_json, print_table
    from payattention.cli.reading import read
    from payattention.data import CATALOGUE, check_name
    from payattention.data.load import check_split
    from payattention.data.overview import sample_sheet, statistics
    from payattention.system.files import write_picture
    from payattention.system.reporting import per_cent

    check_name(name)
    check_split(name, split)
    sheet = picture_file(out, f"{name.partition(':')[0]}-{split}.png")
    if download:
        from payattention.data.download import download as fetch

        fetch(name, root, (split,))
    images = read(name, split, root=root, image_size=image_size, crop_mode=crop_mode, strict=strict)
    write_picture(sheet, sample_sheet(images))
    numbers = statistics(images)
    if as_json:
        print_json({**numbers, "sheet": str(sheet)})
        return
    title = f"{name}, {split}" + (f" ({images.source})" if images.source else "")
    columns = ("images", "classes", "size", "mean", "std", "object, % of pixels", "left out")
    share = None if images.masks is None else per_cent(numbers["object_share"], 1)
    size = f"{numbers['width']}x{numbers['height']}"
    mean, std = (" ".join(f"{value:.4f}" for value in numbers[key]) for key in ("mean", "std"))
    print_table(columns, [(len(images), len(images.classes), size, mean, std, share, len(images.skipped))], title)
    print_table(("class", "images"), _some(list(numbers["class_counts"].items())))
    if facts := CATALOGUE.get(name):
        print(f"{facts.title}. Splits: {facts.splitting}. Licence: {facts.licence}. Cite: {facts.citation}.")
    print(f"sample sheet: {sheet}")


def _some(counts: list[tuple[str, int]]) -> list[tuple[str, object]]:
    """The classes with the most and the fewest images, where there are many."""
    ordered = sorted(counts, key=lambda row: -row[1])
    if len(ordered) <= 20:
        return [*ordered]
    return [*ordered[:10], ("...", "..."), *ordered[-10:]]
