"""`payattention train`."""

from functools import partial
from typing import Annotated

import typer

from payattention.cli.options import (
    ClassesOption,
    DataOption,
    DataRootOption,
    JsonOption,
    LimitOption,
    OutOption,
    SeedOption,
    SetOption,
    StrictOption,
    assignments,
    new_folder,
)
from payattention.training.recipe import list_recipes


def train(
    model: Annotated[
        str, typer.Option(help="Network, of `payattention models`, or timm:NAME for attention on a timm backbone.")
    ] = "vgg_att2_concat_pc",
    data: DataOption = "cluttered_digits",
    width: Annotated[float, typer.Option(help="Factor on every channel count, 0.0625 to 8; the paper's is 1.")] = 1.0,
    recipe: Annotated[
        str | None,
        typer.Option(
            help=f"How to train, of {', '.join(list_recipes())} (the paper: paper). By default modern, ours and short; "
            "for a timm backbone probe if it is frozen, else finetune.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Passes over the data; by default the recipe's (modern: 13, paper: 300).", show_default=False
        ),
    ] = None,
    data_root: DataRootOption = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2048,
            help="Side of the images in pixels; by default the data's own (paper: 32), or the backbone's.",
            show_default=False,
        ),
    ] = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Start from the timm backbone's pre-trained weights.")
    ] = False,
    freeze: Annotated[
        bool, typer.Option("--freeze", help="Keep the timm backbone as it is; train attention on its features.")
    ] = False,
    classes: ClassesOption = None,
    limit: LimitOption = None,
    balance: Annotated[
        bool, typer.Option("--balance", help="Show each class as often as any other, however few images it has.")
    ] = False,
    hold_out: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Keep a share of the training split apart and measure on it, not on the test split: to choose by.",
            show_default=False,
        ),
    ] = None,
    strict: StrictOption = False,
    seed: SeedOption = 0,
    out: OutOption = None,
    set_: SetOption = None,
    recipe_set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Field of the recipe (the run's config.json lists them); may be repeated.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a network and measure its error.

    The error is measured once, after the last epoch: on the test split, or on what was held out.

    Writes a run folder: config.json, metrics.jsonl (a line an epoch), model.safetensors, result.json.
    """
    from payattention.cli.output import print_json, print_table, progress_console
    from payattention.cli.reading import read
    from payattention.data import check_name, held_out
    from payattention.data.parts import check_share
    from payattention.models import check_model, fetch_pretrained, native_size
    from payattention.preprocessing import check_sizes
    from payattention.training.recipe import default_recipe, load_recipe

    # everything is checked before any data is read, and the folder is made only when training can start
    overrides = assignments(recipe_set, "--recipe-set") | ({} if epochs is None else {"epochs": epochs})
    overrides |= {"sampling": "balanced"} if balance else {}
    options = assignments(set_, "--set")
    options |= {name: True for name, on in (("pretrained", pretrained), ("freeze", freeze)) if on}
    frozen = bool(options.get("freeze"))
    chosen = load_recipe(recipe or default_recipe(model, frozen), overrides)
    check_name(data)
    check_model(model, width, **options)
    check_sizes(options.get("preprocessing"), chosen.sizes)
    if hold_out is not None:
        check_share(hold_out)
    image_size = image_size or native_size(model)
    if frozen:
        chosen.check_frozen()
    if options.get("pretrained"):
        fetch_pretrained(model)
    folder = new_folder(out, f"{model.replace(':', '-')}-{data.partition(':')[0]}")

    from payattention.evaluation.provenance import Stopwatch

    watch, console = Stopwatch(), progress_console()
    part = partial(read, data, root=data_root, image_size=image_size, strict=strict, classes=classes, limit=limit)
    images = part("train")
    images, measured = (images, part("test")) if hold_out is None else held_out(images, hold_out)
    console.print(f"training {model} on {len(images):,} images")

    from payattention.experiment import train_and_test

    _, result = train_and_test(
        model, images, measured, chosen, folder, width=width, options=options, seed=seed, console=console, watch=watch
    )
    if as_json:
        print_json({"run": str(folder), **result})
    else:
        row = (measured.split, len(measured), result["test"]["error"], result["provenance"]["seconds"])
        print_table(("measured on", "images", "error %", "seconds in all"), [row])
        print(f"run folder: {folder}")
