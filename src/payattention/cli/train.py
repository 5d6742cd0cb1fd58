"""`payattention train`."""

from typing import Annotated

import typer

from payattention.cli.options import (
    DataOption,
    DataRootOption,
    JsonOption,
    OutOption,
    SetOption,
    assignments,
    new_folder,
)


def train(
    model: Annotated[str, typer.Option(help="Network, of `payattention models`.")] = "vgg_att2_concat_pc",
    data: DataOption = "cluttered_digits",
    width: Annotated[float, typer.Option(help="Factor on every channel count, 0.0625 to 8; the paper's is 1.")] = 1.0,
    recipe: Annotated[str, typer.Option(help="How to train: modern (ours, short) or paper.")] = "modern",
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the data; by default the recipe's (paper: 300).")
    ] = None,
    data_root: DataRootOption = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side of the images in pixels; by default the data's own (paper: 32).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights, order, augmentation and dropout.")] = 0,
    out: OutOption = None,
    set_: SetOption = None,
    recipe_set: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Field of the recipe; may be repeated.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a network, then measure its error on the test split once.

    Writes a run folder: config.json, metrics.jsonl (a line an epoch), model.safetensors, result.json.
    """
    from payattention.cli.output import print_json, print_table, progress_console
    from payattention.data import check_name, load_data
    from payattention.models import check_model
    from payattention.training.recipe import load_recipe

    # everything is checked before any data is read, and the folder is made only when training can start
    overrides = assignments(recipe_set, "--recipe-set") | ({} if epochs is None else {"epochs": epochs})
    chosen = load_recipe(recipe, overrides)
    options = assignments(set_, "--set")
    check_name(data)
    check_model(model, width, **options)
    folder = new_folder(out, f"{model}-{data.partition(':')[0]}")

    from payattention.evaluation.provenance import Stopwatch

    watch, console = Stopwatch(), progress_console()
    console.print(f"reading {data}")
    images, held_out = (load_data(data, split, root=data_root, image_size=image_size) for split in ("train", "test"))
    console.print(f"training {model} on {len(images):,} images")

    from payattention.run import run

    _, result = run(
        model, images, held_out, chosen, folder, width=width, options=options, seed=seed, console=console, watch=watch
    )
    if as_json:
        print_json({"run": str(folder), **result})
    else:
        row = (len(held_out), result["test"]["error"], result["provenance"]["seconds"])
        print_table(("test images", "error %", "seconds in all"), [row])
        print(f"run folder: {folder}")
