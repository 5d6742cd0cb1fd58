"""`payattention compare`."""

from typing import Annotated

import typer

from payattention.cli.computing import computes
from payattention.cli.options import (
    ClassesOption,
    DataRootOption,
    JsonOption,
    LimitOption,
    OutOption,
    RunArgument,
    SplitOption,
    StrictOption,
    new_folder,
)


@computes
def compare(
    run: RunArgument,
    data: Annotated[
        str | None,
        typer.Option(help="Data set with masks; by default the one the run was trained on.", show_default=False),
    ] = None,
    data_root: DataRootOption = None,
    split: SplitOption = "test",
    classes: ClassesOption = None,
    limit: LimitOption = None,
    costly: Annotated[
        int,
        typer.Option(
            min=2,
            help="At most so many pictures, evenly from the classes, for what takes many forward passes a picture: "
            "deletion and insertion of every map (34), Score-CAM (one a channel), integrated gradients (50, and back).",
        ),
    ] = 100,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Post-hoc methods, of activation, cam, grad_cam, grad_cam_plus_plus, score_cam, "
            "integrated_gradients; by default all that the model and the installed extras allow.",
            show_default=False,
        ),
    ] = None,
    strict: StrictOption = False,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold trained maps against post-hoc ones, by every metric.

    Every map of the model, of post-hoc methods asked for the predicted class, and of trivial baselines: where it peaks,
    how much of it lies on the object, whether the class goes and comes with its pixels. docs/maps.md explains the
    columns. Needs a data set with object masks; Score-CAM and integrated gradients need the extra `posthoc`.

    Writes compare.json and compare.png, a sheet of maps.
    """
    from payattention.cli.output import print_json, print_result, progress_console
    from payattention.cli.reading import Source, check_data, check_has_masks, loaded, read_for
    from payattention.system.files import write_json, write_picture
    from payattention.weights.header import weights_file

    folder = new_folder(out, f"compare-{run.stem}")
    weights_file(run)
    source = Source.of(run, data, data_root)
    name = source.name
    check_has_masks(name)
    check_data(name, split)

    from payattention.evaluation.comparison.sources import sources

    model = loaded(run)
    chosen = None if methods is None else [method.strip() for method in methods.split(",")]
    sources(model, chosen)  # refuses an unknown method before any data is read
    images = read_for(model, source, split, strict=strict, classes=classes, limit=limit)

    from payattention.evaluation.comparison.table import compare as measure
    from payattention.figures.compare import map_sheet

    result = measure(model, images, methods=chosen, costly=costly, console=progress_console())
    write_json(folder / "compare.json", result.as_json())
    write_picture(folder / "compare.png", map_sheet(model, images, result))
    if as_json:
        print_json({"out": str(folder), **result.as_json()})
        return
    print_result(result)
    print(f"sheet of maps: {folder / 'compare.png'}")
