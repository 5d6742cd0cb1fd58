"""`payattention evaluate`."""

from typing import Annotated

import typer

from payattention.cli.options import DataRootOption, JsonOption, RunArgument


def evaluate(
    run: RunArgument,
    data: Annotated[
        str | None,
        typer.Option(help="Data set; by default the one the run was trained on.", show_default=False),
    ] = None,
    data_root: DataRootOption = None,
    split: Annotated[str, typer.Option(help="train or test.")] = "test",
    as_json: JsonOption = False,
) -> None:
    """Measure a model's error on a data set and, where it has object masks, where the maps' peaks fall."""
    from dataclasses import asdict

    from payattention.checkpoint import load
    from payattention.cli.output import print_json, print_table, progress_console
    from payattention.data import load_data
    from payattention.evaluation import classify, pointing
    from payattention.run import trained_on

    model = load(run)
    name = data or trained_on(run)
    progress_console().print(f"reading {name}")
    images = load_data(name, split, root=data_root, image_size=model.image_size)
    result = asdict(classify(model, images))
    if images.masks is not None and model.levels:
        result["pointing"] = asdict(pointing(model, images))
    if as_json:
        print_json(result)
        return
    print_table(("data", "split", "images", "error %"), [(name, split, result["count"], result["error"])])
    if "pointing" in result:
        title = f"peak within {result['pointing']['tolerance']} px of the object, % of images"
        print_table(("map", "hits %"), result["pointing"]["hits"].items(), title)
