"""`payattention transfer`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from payattention.cli.computing import computes
from payattention.cli.model_argument import of_a_model
from payattention.cli.options import (
    ClassesOption,
    DataRootOption,
    JsonOption,
    LimitOption,
    StrictOption,
)

if TYPE_CHECKING:
    from payattention.weights.named import NamedModel


@computes
@of_a_model
def transfer(
    run: "NamedModel",
    data: Annotated[
        str,
        typer.Option(help="Data set, of `payattention data`; or folder:PATH, parquet:PATH.", show_default=False),
    ],
    data_root: DataRootOption = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="train, test or another; by default all for the SVM where the set has that, else test.",
            show_default=False,
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2048,
            help="Side of the images in pixels; by default that of the model's training (paper: 32).",
            show_default=False,
        ),
    ] = None,
    classes: ClassesOption = None,
    limit: LimitOption = None,
    strict: StrictOption = False,
    direct: Annotated[
        bool, typer.Option("--direct", help="No SVM: the model's own prediction, on shared classes (paper: for STL).")
    ] = False,
    whiten: Annotated[
        bool,
        typer.Option(
            "--whiten",
            help="Whiten the images by their own statistics (paper: all sets), in place of the model's normalisation.",
        ),
    ] = False,
    folds: Annotated[int, typer.Option(min=2, help="Parts of the SVM's cross-validation (paper: 5).")] = 5,
    standardise: Annotated[
        bool, typer.Option("--standardise", help="Bring the SVM's features to mean 0 and deviation 1 (paper: no).")
    ] = False,
    max_iter: Annotated[int, typer.Option(min=1, help="At most so many iterations of the SVM's solver.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of the folds and of the SVM's solver.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Measure what a model's features are worth on another data set.

    A linear SVM (C = 1) is cross-validated on what the model's last classifier sees. The model is not trained further.
    """
    from payattention.cli.output import print_json, print_result, progress_console
    from payattention.cli.reading import Source, check_data, loaded, read_for

    run.check()
    part = split or ("test" if direct else _most_of(data))
    check_data(data, part)

    from payattention.evaluation.direct_transfer import check_names, direct_transfer
    from payattention.evaluation.transfer import transfer as cross_validate
    from payattention.explaining.inputs import check_size

    model = loaded(run)
    size = image_size or model.image_size
    check_size(model, size)
    if direct:
        check_names(model)
    images = read_for(
        model, Source(data, data_root), part, image_size=size, strict=strict, classes=classes, limit=limit
    )
    if direct:
        matched = direct_transfer(model, images, whiten=whiten, console=progress_console())
        print_json(matched.as_json()) if as_json else print_result(matched)
        return
    result = cross_validate(
        model,
        images,
        folds=folds,
        whiten=whiten,
        standardise=standardise,
        max_iter=max_iter,
        seed=seed,
        console=progress_console(),
    )
    print_json(result.as_json()) if as_json else print_result(result)
    if result.unfinished:
        print(
            f"note: {result.unfinished} of {folds} SVMs were stopped at {max_iter:,} iterations before they had "
            "converged, and their accuracies may be off; raise --max-iter, or --standardise",
            file=sys.stderr,
        )


def _most_of(name: str) -> str:
    """The split with all images, as the paper cross-validates on; "test" where there is none."""
    from payattention.data import CATALOGUE

    return "all" if name in CATALOGUE and "all" in CATALOGUE[name].counts else "test"
