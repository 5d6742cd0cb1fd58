"""Options that several verbs share."""

import json
import os
from collections.abc import Iterable
from itertools import chain, count
from pathlib import Path
from typing import Annotated, Any

import typer

from payattention.errors import CheckpointError, UsageError
from payattention.system.files import check_new_file
from payattention.system.processes import here
from payattention.system.text import readable

DataOption = Annotated[str, typer.Option(help="Data set, of `payattention data`; or folder:PATH, parquet:PATH.")]
RunDataOption = Annotated[
    str | None, typer.Option(help="Data set; by default the one the run was trained on.", show_default=False)
]
SplitOption = Annotated[
    str, typer.Option(help="train or test; of a folder or parquet files all, too; some named sets have others.")
]
DataRootOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder that holds data sets; by default $PAYATTENTION_DATA, else ~/.cache/payattention.",
        show_default=False,
    ),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="A picture that cannot be read is an error; else it is left out and listed.")
]
ClassesOption = Annotated[
    str | None, typer.Option(metavar="A,B,...", help="Only the images of these classes.", show_default=False)
]
CropModeOption = Annotated[
    str,
    typer.Option(
        metavar="center|squash",
        help="How pictures become squares: the centre cut out, or the whole picture squeezed. A model looks at other "
        "sets as it was trained.",
    ),
]
LimitOption = Annotated[
    int | None,
    typer.Option(min=1, help="At most so many images of a split, evenly from its classes.", show_default=False),
]
SizeOption = Annotated[
    int | None,
    typer.Option(
        help="A picture's shorter side as the model sees it, in pixels; by default the training size (paper: 32).",
        show_default=False,
    ),
]
MethodOption = Annotated[
    str | None,
    typer.Option(
        help="attention, the model's own, or a post-hoc method by name: grad_cam, ... (docs/maps.md); by default "
        "attention, and grad_cam of a classifier without.",
        show_default=False,
    ),
]
TargetOption = Annotated[
    str | None,
    typer.Option(
        metavar="CLASS",
        help="The class whose maps are asked for, by name or number, or all for each of the five most probable; by "
        "default the predicted one. For methods whose maps belong to a class.",
        show_default=False,
    ),
]
AverageOption = Annotated[
    str | None,
    typer.Option(
        metavar="mirror|scales|mirror,scales",
        help="Look again at each picture, mirrored, enlarged by a quarter, or both, and take the mean of the model's "
        "own maps: two to five times the time. The prediction stays that of the picture as it is.",
        show_default=False,
    ),
]
RefineOption = Annotated[
    str | None,
    typer.Option(
        metavar="guided",
        help="Bring maps to their pictures' edges by a guided filter; the detail is the picture's, not the map's.",
        show_default=False,
    ),
]
HoldOutOption = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Keep a share of the training split apart and measure on it, not on the test split: to choose by.",
        show_default=False,
    ),
]
BackboneWeightsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The timm backbone's weights, by timm's names: .safetensors, or a state dict that torch.save wrote.",
        show_default=False,
    ),
]
WidthOption = Annotated[float, typer.Option(help="Factor on every channel count, 0.0625 to 8; the paper's is 1.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
OutOption = Annotated[
    Path | None,
    typer.Option(help="Folder to write to; by default a new one under runs/.", show_default=False),
]
HtmlOption = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="FILE",
        help="Write one page to open in a browser: the pictures with their maps, to be sorted, filtered and enlarged.",
        show_default=False,
    ),
]
ToleranceOption = Annotated[
    int,
    typer.Option(
        min=0,
        help="Of the pointing game: pixels from the object, on the masks' grid, at which a peak still hits (Zhang et "
        "al.: 15, in pictures of full size).",
    ),
]
SeedOption = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of weights, order, augmentation and dropout.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Option of the network (`payattention models NAME` lists them); may be repeated.",
        show_default=False,
    ),
]


def assignments(pairs: Iterable[str] | None, option: str) -> dict[str, Any]:
    """`["a=1", "b=x"]` as `{"a": 1, "b": "x"}`: values are JSON where they parse as such, else text."""
    values: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise UsageError(f"{option} {pair!r}: write {option} NAME=VALUE")
        try:
            values[name] = json.loads(text)
        except json.JSONDecodeError:
            values[name] = text
    return values


def names_in(text: str | None) -> list[str]:
    """The names in an option's value, with commas between; none of an option that was not given."""
    return [] if text is None else [name.strip() for name in text.split(",")]


def numbers(text: str, option: str) -> list[float]:
    """`"1,2.5"` as `[1.0, 2.5]`, each once."""
    values: dict[float, None] = {}
    for part in text.split(","):
        try:
            values[float(part)] = None
        except ValueError:
            raise UsageError(f"{option} {text!r}: {part.strip()!r} is not a number; write 1,2,4") from None
    return list(values)


def backbone_weights(file: Path) -> str:
    """A file of `BackboneWeightsOption` as an option of the network, wherever that is built.

    Raises:
        CheckpointError: There is none.
    """
    if not file.is_file():
        raise CheckpointError(f"--weights {file}: no such file")
    return str(file.absolute())


def picture_file(out: Path | None, name: str) -> Path:
    """Where to write one picture: `out`, or a file called `name` in it or here, numbered where there is one already."""
    if out is not None and not out.is_dir():
        if out.suffix.lower() not in (".png", ".jpg", ".webp"):
            raise UsageError(f"--out {out}: the picture is a .png, .jpg or .webp file")
        check_file("--out", out)
        return out
    first = (out or Path()) / name
    others = (first.with_stem(f"{first.stem}-{number}") for number in count(2))
    return next(file for file in chain([first], others) if not file.exists())


def check_file(option: str, path: Path, *suffixes: str) -> None:
    """Raises UsageError where a new file of that name, and of a kind with one of those suffixes, cannot be written."""
    check_new_file(path, *suffixes, option=option)
    _check_place(option, path)


def check_page(html: Path | None) -> None:
    """Raises UsageError where a page cannot be written to a new file of that name."""
    if html is not None:
        check_file("--html", html, ".html", ".htm")


def new_folder(out: Path | None, name: str) -> Path:
    """Where to write: `out`, which must not hold a run already, or a new `runs/NAME`, `runs/NAME-2`, ..."""
    if here().count > 1:
        if out is None:
            raise UsageError("several processes cannot agree on a new folder: name one with --out")
        if not here().first:
            return out  # the first process may have begun to write there
    if out is not None:
        if readable(str(out)) != str(out):
            raise UsageError(f"--out {out}: this name is not UTF-8; choose another")
        _check_place("--out", out)
        if out.is_dir() and any(out.iterdir()):
            raise UsageError(f"--out {out}: this folder is not empty; choose another")
        return out
    number = 1
    while (folder := Path("runs") / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return folder


def _check_place(option: str, path: Path) -> None:
    """Raises UsageError where something new cannot be written."""
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not there.is_dir():
        raise UsageError(f"{option} {path}: {there} is a file; a folder is needed")
    if not os.access(there, os.W_OK):
        raise UsageError(f"{option} {path}: {there} cannot be written to; choose another place")
