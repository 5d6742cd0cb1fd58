"""`payattention evaluate`."""

from typing import Annotated

import typer

from payattention.cli.computing import computes
from payattention.cli.options import (
    ClassesOption,
    DataRootOption,
    JsonOption,
    LimitOption,
    RunArgument,
    RunDataOption,
    SplitOption,
    StrictOption,
)


@computes
def evaluate(
    run: RunArgument,
    data: RunDataOption = None,
    data_root: DataRootOption = None,
    split: SplitOption = "test",
    classes: ClassesOption = None,
    limit: LimitOption = None,
    balance: Annotated[
        bool, typer.Option("--balance", help="Every class counts alike: also give the mean of the classes' errors.")
    ] = False,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure a model's error, and where its maps peak.

    The peaks are measured where the data set has object masks.
    """
    from dataclasses import asdict

    from payattention.cli.output import print_json, print_table, progress_console
    from payattention.cli.reading import Source, check_classes, check_data, loaded, read_for
    from payattention.weights.header import saved

    known = saved(run)
    source = Source.of(run, data, data_root)
    name = source.name
    check_data(name, split)
    check_classes(known, source, split, classes)

    from payattention.evaluation import classify, pointing

    model, console = loaded(run), progress_console()
    images = read_for(model, source, split, strict=strict, classes=classes, limit=limit)
    result = {**asdict(classify(model, images, console=console)), "source": images.source}
    if balance:
        errors = result["class_errors"].values()
        result["balanced_error"] = round(sum(errors) / len(errors), 3)
    if images.masks is not None and model.levels:
        result["pointing"] = asdict(pointing(model, images, console=console))
    if as_json:
        print_json(result)
        return
    print_table(("data", "split", "images", "error %"), [(name, split, result["count"], result["error"])])
    if balance:
        print(f"mean of the classes' errors: {result['balanced_error']} %")
    if "pointing" in result:
        title = f"peak within {result['pointing']['tolerance']} px of the object, % of images"
        print_table(("map", "hits %"), result["pointing"]["hits"].items(), title)
