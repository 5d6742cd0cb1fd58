"""`payattention probe`."""

from typing import Annotated

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
    assignments,
    backbone_weights,
    names_in,
    new_folder,
)


@computes
def probe(
    backbone: Annotated[
        str,
        typer.Argument(metavar="BACKBONE", help="A timm network: timm:NAME, or NAME.", show_default=False),
    ],
    data: DataOption = "cluttered_digits",
    methods: Annotated[
        str,
        typer.Option(
            metavar="all|A,B,...",
            help="Ways to read the features: knn (20 neighbours, by cosine), linear, and attention: pc, dp, additive, "
            "efficient (efficient probing: learned queries), live (such queries, moved by each picture).",
        ),
    ] = "all",
    queries: Annotated[int, typer.Option(min=2, help="How many queries ask, of efficient and live.")] = 8,
    masks: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Data set with masks, on whose test split the maps are measured; by default --data, if it has masks.",
            show_default=False,
        ),
    ] = None,
    data_root: DataRootOption = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            min=1, max=2048, help="Side of the images in pixels; by default the backbone's own.", show_default=False
        ),
    ] = None,
    crop_mode: CropModeOption = "center",
    pretrained: Annotated[
        bool,
        typer.Option(
            "--pretrained/--no-pretrained",
            help="The backbone's pre-trained weights, or random ones (a control).",
        ),
    ] = True,
    weights: BackboneWeightsOption = None,
    recipe: Annotated[str, typer.Option(metavar="NAME|FILE.toml", help="How all but knn are trained.")] = "probe",
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the features; by default the recipe's.", show_default=False)
    ] = None,
    classes: ClassesOption = None,
    limit: LimitOption = None,
    hold_out: HoldOutOption = None,
    strict: StrictOption = False,
    seed: SeedOption = 0,
    out: OutOption = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare ways to read a frozen backbone's features.

    The backbone runs once over the pictures; k-NN, a linear probe and several kinds of attention read what it gave. The
    table tells accuracy, trained parameters, seconds and, with masks, whether the maps find the objects; and with which
    options `train --freeze` makes a row's network for use. --set gives all kinds of attention an option, as levels=1.

    Writes probe.json.
    """
    from payattention.cli.output import print_class_notes, print_json, print_result, progress_console
    from payattention.cli.reading import Wanted, check_data, check_has_masks, read
    from payattention.data import check_name
    from payattention.data.load import check_crop_mode
    from payattention.data.parts import check_share
    from payattention.training.recipe import load_recipe

    folder = new_folder(out, f"probe-{backbone.removeprefix('timm:')}")
    options = assignments(set_, "--set")
    chosen = load_recipe(recipe, {} if epochs is None else {"epochs": epochs})
    check_name(data)
    check_crop_mode(crop_mode)
    if masks is not None:
        check_has_masks(masks)
        check_data(masks, "test")
    if hold_out is not None:
        check_share(hold_out)
    if weights is not None:
        options["weights"] = backbone_weights(weights)
    elif pretrained:
        options["pretrained"] = True

    from payattention.evaluation.probing.methods import ProbeConfig, methods_of

    names = methods_of(names_in(methods))
    config = ProbeConfig(backbone, names, options, queries, chosen, seed)
    config.check()

    from payattention.models import fetch_pretrained, native_size

    if options.get("pretrained"):
        fetch_pretrained(config.model)
    root = None if data_root is None else str(data_root)
    size = image_size or native_size(config.model)
    channels = options.get("in_channels", 3)
    wanted = Wanted(data, root, size, strict, classes, limit, hold_out, crop_mode, channels)
    wanted.check_apart()
    train, test = wanted.read()
    form = {"image_size": size, "crop_mode": crop_mode, "channels": channels}
    masked = None if masks is None else read(masks, "test", root=data_root, strict=strict, limit=limit, **form)

    from payattention.evaluation.probing.table import probe as measure
    from payattention.system.files import write_json

    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    result = measure(config, train, test, folder=there, masked=masked, console=progress_console())
    write_json(folder / "probe.json", result.as_json())
    print_class_notes(result)
    if as_json:
        print_json({"out": str(folder), **result.as_json()})
        return
    print_result(result)
    print(f"table: {folder / 'probe.json'}")
