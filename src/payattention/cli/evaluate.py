"""`payattention evaluate`."""

from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated

import typer

from payattention.cli.computing import computes
from payattention.cli.model_argument import of_a_model
from payattention.cli.options import (
    ClassesOption,
    DataRootOption,
    HtmlOption,
    JsonOption,
    LimitOption,
    RunDataOption,
    SplitOption,
    StrictOption,
    ToleranceOption,
    check_page,
    new_folder,
)

if TYPE_CHECKING:
    from payattention.weights.named import NamedModel


@computes
@of_a_model
def evaluate(
    run: "NamedModel",
    data: RunDataOption = None,
    data_root: DataRootOption = None,
    split: SplitOption = "test",
    classes: ClassesOption = None,
    limit: LimitOption = None,
    balance: Annotated[
        bool, typer.Option("--balance", help="Every class counts alike: also give the mean of the classes' errors.")
    ] = False,
    tolerance: ToleranceOption = 2,
    strict: StrictOption = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write tables, the confusion matrix and the worst mistakes to; by default nothing is.",
            show_default=False,
        ),
    ] = None,
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a model's error, which classes it mistakes, whether its probabilities are honest, and where it looks.

    Where it looks, also when it is wrong, is measured where the data set has object masks or boxes. Writes with --out
    every image's prediction, tables of the classes, the confusion matrix, and the worst mistakes with their maps.
    """
    from payattention.cli.output import print_class_notes, print_json, print_page, print_result, progress_console
    from payattention.cli.reading import Source, check_classes, check_data, loaded_for, read_for

    check_page(html)
    folder = None if out is None else new_folder(out, "")
    known = run.check()
    source = Source.of(run, data, data_root)
    check_data(source.name, split)
    if known is not None:
        check_classes(known, source, split, classes)

    from payattention.evaluation import classify, pointing

    model, console = loaded_for(run, source, split, classes), progress_console()
    images = read_for(model, source, split, strict=strict, classes=classes, limit=limit)
    errors = classify(model, images, console=console)
    points = pointing(model, images, tolerance, console=console) if images.masks is not None and model.levels else None
    balanced = round(fmean(errors.class_errors.values()), 3) if balance else None
    if html is not None:
        from payattention.figures.gallery import gallery_of_set

        title = f"{run.title}: {errors.data}, {errors.split}"
        gallery_of_set(model, images, html, title=title, console=console)
    possible = {"balanced_error": balanced, "pointing": points and points.as_json()}
    more = {key: value for key, value in possible.items() if value is not None}
    if folder is not None:
        from payattention.figures.evaluate import write_evaluation

        write_evaluation(model, images, errors, folder, more)
    print_class_notes(errors)
    if as_json:
        written = {name: str(place) for name, place in (("html", html), ("out", folder)) if place is not None}
        print_json(errors.as_json() | more | written)
        return
    print_result(errors)
    if balance:
        print(f"mean of the classes' errors: {balanced} %")
    if points is not None:
        print_result(points)
    if html is not None:
        print_page(html, errors.count)
    if folder is not None:
        print(f"written: {folder}")
