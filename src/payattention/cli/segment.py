"""`payattention segment`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from payattention.cli.computing import computes
from payattention.cli.model_argument import of_a_model
from payattention.cli.options import (
    AverageOption,
    ClassesOption,
    DataRootOption,
    JsonOption,
    LimitOption,
    OutOption,
    RefineOption,
    SizeOption,
    SplitOption,
    StrictOption,
    names_in,
    new_folder,
)

if TYPE_CHECKING:
    from payattention.data.masked import MaskedPictures
    from payattention.weights.named import NamedModel

_TUNE = 200  # pictures


@computes
@of_a_model
def segment(
    run: "NamedModel",
    data: Annotated[
        str | None,
        typer.Option(
            help="Data set with object masks: cluttered_digits, object_discovery (the paper's), oxford_pets, "
            "cub200_whole, folder:PATH; or, with --masks, a folder of pictures. By default the one the run was "
            "trained on.",
            show_default=False,
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            help="Folder of masks for a folder of pictures: cat.png for cat.jpg, of its size, 0 where no object is.",
            show_default=False,
        ),
    ] = None,
    foreground: Annotated[
        int | None,
        typer.Option(help="Value of the masks' pixels on the object, with --masks; by default any but 0."),
    ] = None,
    data_root: DataRootOption = None,
    split: SplitOption = "test",
    size: SizeOption = None,
    average: AverageOption = None,
    classes: ClassesOption = None,
    limit: LimitOption = None,
    tune: Annotated[
        int | None,
        typer.Option(
            min=0,
            help=f"How many pictures of the train split choose the best threshold; 0 for none. By default {_TUNE}, "
            "where there is a train split.",
            show_default=False,
        ),
    ] = None,
    true_class: Annotated[
        bool,
        typer.Option(
            "--true-class",
            help="Of vgg_gap: the class map of the true class, as the paper's code has it; else of the predicted.",
        ),
    ] = False,
    refine: RefineOption = None,
    crf: Annotated[
        bool, typer.Option("--crf", help="Also refine the masks by a dense CRF (needs the extra crf).")
    ] = False,
    strict: StrictOption = False,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how well a model's maps find the objects.

    The maps of the last two levels are multiplied, or combined as the model has it, and cut at Otsu's threshold, as in
    the paper. Beside them stand each level's own map and two that never saw the picture.

    Writes masks and overlays, the tables pictures.csv and table.csv, sheet.png and result.json.
    """
    from payattention.cli.output import print_class_notes, print_json, print_left_out, print_result, progress_console
    from payattention.cli.reading import Source, loaded

    folder = new_folder(out, f"segment-{run.title}")
    how = _refinement(refine, crf)
    run.check_has_maps()
    source = Source.of(run, data, data_root)
    data, data_root, classes = source.name, source.root, source.classes(classes)
    _check(data, masks, foreground, split, tune)

    from payattention.evaluation.segment import check_can_segment
    from payattention.figures.segment import write_segmentation

    model = loaded(run, average)
    check_can_segment(model, size=size, true_class=true_class, refine=how)
    pictures = _part(_pictures(data, split, masks, foreground, data_root), classes, limit)
    if strict:
        pictures.check_all_readable()
    tune_on = None if masks else _tuning(data, split, tune, classes, data_root)
    if pictures.source:
        print(f"note: {pictures.source}", file=sys.stderr)
    result = write_segmentation(
        model,
        pictures,
        folder,
        size=size,
        tune_on=tune_on,
        true_class=true_class,
        refine=how,
        console=progress_console(),
    )
    print_left_out(result.left_out)
    print_class_notes(result)
    if result.empty == result.count:
        hint = "" if foreground is None else f": no pixel of theirs is {foreground} (--foreground)"
        print(f"note: the masks of all {result.count:,} pictures are empty{hint}", file=sys.stderr)
    if as_json:
        print_json({"out": str(folder), **result.as_json()})
    else:
        print_result(result)
        print(f"written: {folder}")


def _refinement(refine: str | None, crf: bool) -> str | bool:
    from payattention.errors import UsageError
    from payattention.explaining.methods import check_refinement

    check_refinement(refine)
    if refine is not None and crf:
        raise UsageError("--refine and --crf each refine the combined map in a way of their own: take one of them")
    return refine or crf


def _check(data: str, masks: Path | None, foreground: int | None, split: str, tune: int | None) -> None:
    from payattention.data import CATALOGUE, check_name
    from payattention.data.load import check_split
    from payattention.errors import UsageError

    if masks is None:
        check_name(data)
        check_split(data, split)
        if foreground is not None:
            raise UsageError("--foreground says how to read a folder of masks: name it with --masks")
    elif data in CATALOGUE or data.startswith(("folder:", "parquet:")):
        raise UsageError(f"--masks is for a folder of pictures: {data!r} brings its own, so leave --masks out")
    if tune and (masks or not _has_train(data, split)):
        raise UsageError(f"--tune {tune}: {data} has no other split with masks to choose a threshold on")


def _has_train(data: str, split: str) -> bool:
    from payattention.data import CATALOGUE

    return split != "train" and (data not in CATALOGUE or "train" in CATALOGUE[data].counts)


def _pictures(data: str, split: str, masks: Path | None, foreground: int | None, root: Path | None) -> "MaskedPictures":
    from payattention.data.masked import masked_pictures, paired

    return masked_pictures(data, split, root) if masks is None else paired(Path(data), masks, foreground)


def _tuning(data: str, split: str, tune: int | None, classes: str | None, root: Path | None) -> "MaskedPictures | None":
    from payattention.data.masked import masked_pictures
    from payattention.errors import PayAttentionError

    if tune == 0 or not _has_train(data, split):
        return None
    try:
        return _part(masked_pictures(data, "train", root), classes, tune or _TUNE)
    except PayAttentionError as error:
        if tune:
            raise
        print(f"no threshold is tuned: {error}", file=sys.stderr)
        return None


def _part(pictures: "MaskedPictures", classes: str | None, limit: int | None) -> "MaskedPictures":
    if classes is not None:
        pictures = pictures.of_classes(names_in(classes))
    return pictures if limit is None else pictures.limited(limit)
