"""`payattention train`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from payattention.cli.computing import computes
from payattention.cli.options import (
    BackboneWeightsOption,
    ClassesOption,
    CropModeOption,
    DataOption,
    DataRootOption,
    HoldOutOption,
    JsonOption,
    LimitOption,
    OutOption,
    SeedOption,
    SetOption,
    StrictOption,
    WidthOption,
    assignments,
    backbone_weights,
    new_folder,
)
from payattention.errors import UsageError
from payattention.training.presets import list_recipes


@computes
def train(
    context: typer.Context,
    model: Annotated[
        str, typer.Option(help="Network, of `payattention models`, or timm:NAME for attention on a timm backbone.")
    ] = "vgg_att2_concat_pc",
    data: DataOption = "cluttered_digits",
    width: WidthOption = 1.0,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.toml",
            help=f"How to train: {', '.join(list_recipes())} (the paper: paper, on CIFAR); or a file of your own, "
            'which may begin with base = "modern". By default modern, ours and short; for a timm backbone probe if it '
            "is frozen, else finetune.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Passes over the data; by default the recipe's (modern: 11, paper: 300).", show_default=False
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
    crop_mode: CropModeOption = "center",
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Start from the timm backbone's pre-trained weights.")
    ] = False,
    weights: BackboneWeightsOption = None,
    freeze: Annotated[
        bool,
        typer.Option(
            "--freeze",
            help="Keep the timm backbone as it is; train attention on its features, beginning where they are strong.",
        ),
    ] = False,
    classes: ClassesOption = None,
    limit: LimitOption = None,
    balance: Annotated[
        bool, typer.Option("--balance", help="Show each class as often as any other, however few images it has.")
    ] = False,
    hold_out: HoldOutOption = None,
    strict: StrictOption = False,
    from_disk: Annotated[
        bool,
        typer.Option(
            "--from-disk",
            help="Leave the pictures on disk and read batches ahead: done by itself where memory has no room for them; "
            "the weights are the same.",
        ),
    ] = False,
    uncached: Annotated[
        bool,
        typer.Option(
            "--uncached",
            help="Decode each picture whenever it is trained on, where the disk has no room for decoded ones; one that "
            "cannot be read is an error then.",
        ),
    ] = False,
    seed: SeedOption = 0,
    out: OutOption = None,
    set_: SetOption = None,
    init_from: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="Begin with a saved model's weights, where name and shape fit (paper: CUB from CIFAR-100); what does "
            "not is listed.",
            show_default=False,
        ),
    ] = None,
    recipe_set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Field of the recipe (the run's config.json lists them); may be repeated.",
            show_default=False,
        ),
    ] = None,
    save_every: Annotated[
        int, typer.Option(min=1, metavar="STEPS", help="Steps between two snapshots; each epoch's end makes one, too.")
    ] = 500,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write loss, error, rate and images/s for TensorBoard, too.")
    ] = False,
    sheet_every: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="EPOCHS",
            help="Draw the attention maps of the same 8 pictures every so many epochs, into sheets/; 0 draws none. "
            "They are held-out pictures with --hold-out, else of the test split: only to look at, nothing is chosen.",
        ),
    ] = 0,
    compile_: Annotated[
        bool,
        typer.Option(
            "--compile", help="Compile the network first (minutes): for long runs on a GPU, or with a C++ compiler."
        ),
    ] = False,
    no_winograd: Annotated[
        bool,
        typer.Option(
            "--no-winograd",
            help="Leave all convolutions to PyTorch. By default Winograd's algorithm does those that it makes faster: "
            "on a CPU in float32, the same to rounding.",
        ),
    ] = False,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Go on with a run that was stopped, exactly; no other option is needed. A finished one with --epochs, "
            "so many in all: exactly where the schedule allows it, else in a second cycle, which is said.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a network and measure its error.

    The error is measured once, after the last epoch: on the test split, or on what was held out.

    Writes a run folder: config.json, metrics.jsonl and metrics.csv (a line an epoch), model.safetensors, result.json;
    while it trains, snapshots/. Ctrl-C and SIGTERM save a snapshot, say how to go on, and exit with 130 and 143.
    """
    from payattention.cli.output import progress_console
    from payattention.cli.reading import Wanted
    from payattention.cli.resumption import check_alone, go_on
    from payattention.data import check_name
    from payattention.data.load import check_crop_mode, check_on_disk
    from payattention.data.parts import check_share
    from payattention.training.presets import default_recipe
    from payattention.training.recipe import load_recipe
    from payattention.weights.named import borrowed, saved_model

    if resume is not None:
        check_alone(context)
        _print(resume, go_on(resume, data_root, epochs, progress_console()), as_json)
        return

    # all is checked before any data is read, first what needs no PyTorch; the folder is made when training starts
    if borrowed(model):
        raise UsageError(
            f"{model} can be explained and measured as it is, but attention is trained on networks of this package "
            "(payattention models) or on a timm backbone: --model timm:NAME"
        )
    folder = new_folder(out, f"{model.replace(':', '-')}-{data.partition(':')[0]}")
    overrides = assignments(recipe_set, "--recipe-set") | ({} if epochs is None else {"epochs": epochs})
    overrides |= {"sampling": "balanced"} if balance else {}
    options = assignments(set_, "--set")
    of_backbones = [name for name, on in (("pretrained", pretrained), ("freeze", freeze)) if on]
    if of_backbones and not model.startswith("timm:"):
        raise UsageError(f"--{of_backbones[0]} is for timm's backbones (--model timm:NAME), not for {model}")
    options |= dict.fromkeys(of_backbones, True)
    if weights is not None:
        if not model.startswith("timm:"):
            raise UsageError(f"--weights is for timm's backbones (--model timm:NAME), not for {model}; see --init-from")
        options["weights"] = backbone_weights(weights)
    frozen = bool(options.get("freeze"))
    chosen = load_recipe(recipe or default_recipe(model, frozen), overrides)
    check_name(data)
    check_crop_mode(crop_mode)
    check_on_disk(data, from_disk or uncached)
    if hold_out is not None:
        check_share(hold_out)
    if init_from is not None:
        saved_model(init_from).check()
    if frozen:
        chosen.check_frozen()  # the run's own check comes when PyTorch is there

    from payattention.models import fetch_pretrained, native_size
    from payattention.runs.config import RunConfig
    from payattention.system.provenance import Stopwatch

    root = None if data_root is None else str(data_root)
    size, channels = image_size or native_size(model), options.get("in_channels", 3)
    if not isinstance(channels, int):
        channels = 3  # what it is instead is refused with the network's options
    wanted = Wanted(data, root, size, strict, classes, limit, hold_out, crop_mode, channels, from_disk, uncached)
    wanted.check_apart()
    config = RunConfig(
        model,
        chosen,
        width=width,
        options=options,
        seed=seed,
        save_every=save_every,
        compiled=compile_,
        winograd=not no_winograd,
        init_from=init_from,
        tensorboard=tensorboard,
        sheet_every=sheet_every,
        reading=wanted.anywhere(),
    )
    config.check()
    if pretrained:
        fetch_pretrained(model)
    watch, console = Stopwatch(), progress_console()
    images, measured = wanted.read()
    console.print(f"training {model} on {len(images):,} images")

    from payattention.runs.experiment import train_and_test

    _, result = train_and_test(config, images, measured, folder, console=console, watch=watch)
    _print(folder, result, as_json)


def _print(folder: Path, result: dict[str, Any], as_json: bool) -> None:
    from payattention.cli.output import print_json, print_table
    from payattention.system.processes import here

    if not here().first:
        return
    if as_json:
        print_json({"run": str(folder), **result})
        return
    row = (
        result["data"]["measured_on"],
        result["test"]["count"],
        result["test"]["error"],
        result["provenance"]["seconds"],
    )
    print_table(("measured on", "images", "error %", "seconds in all"), [row])
    print(f"run folder: {folder}")
