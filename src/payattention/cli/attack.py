"""`payattention attack`."""

from typing import TYPE_CHECKING, Annotated

import typer

from payattention.cli.computing import computes
from payattention.cli.model_argument import of_a_model
from payattention.cli.options import (
    DataRootOption,
    JsonOption,
    LimitOption,
    OutOption,
    RunDataOption,
    SplitOption,
    StrictOption,
    names_in,
    new_folder,
    numbers,
)

if TYPE_CHECKING:
    from payattention.weights.named import NamedModel

EpsOption = Annotated[
    str,
    typer.Option(
        metavar="A,B,...",
        help="Sizes: the most by which any pixel value changes, of 255 (the paper's are the default).",
    ),
]
StepsOption = Annotated[int, typer.Option(min=1, help="Steps of pgd (Madry et al.: 20).")]
StepSizeOption = Annotated[
    float | None,
    typer.Option(help="Size of a step of pgd, of 255; by default eps/4 (Madry et al.: 2 at 8).", show_default=False),
]
RandomStartOption = Annotated[bool, typer.Option(help="Whether pgd starts at a random point, as Madry et al. do.")]
ObjectiveOption = Annotated[
    str,
    typer.Option(
        metavar="probability|logit",
        help="What of the class fgsm and pgd make fall: its probability, or its logit alone (the paper's predicted "
        "class score can be read as either).",
    ),
]


@computes
@of_a_model
def attack(
    run: "NamedModel",
    data: RunDataOption = None,
    data_root: DataRootOption = None,
    split: SplitOption = "test",
    limit: LimitOption = None,
    strict: StrictOption = False,
    eps: EpsOption = "1,2,4,8,16",
    attacks: Annotated[
        str,
        typer.Option(metavar="A,B,...", help="Of noise (no attack, to compare with), fgsm (the paper's) and pgd."),
    ] = "noise,fgsm",
    away_from: Annotated[
        str, typer.Option(help="The class to lead away from: predicted (the paper) or true.")
    ] = "predicted",
    steps: StepsOption = 20,
    step_size: StepSizeOption = None,
    random_start: RandomStartOption = True,
    objective: ObjectiveOption = "probability",
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of noise and random starts.")] = 0,
    pictures: Annotated[
        int, typer.Option(min=0, max=24, help="How many images to show under the last attack named.")
    ] = 4,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how robust a model is to tiny changes of its pictures.

    The fooling rate is the share of predictions that an attack changes. The attacks know the model's weights.

    Writes attack.json, and attack.png: some images at every size, what the model sees in them, and where it looks.
    """
    from payattention.cli.output import print_class_notes, print_json, print_result, progress_console
    from payattention.cli.reading import Source, check_classes, check_data, loaded_for, read_for
    from payattention.system.files import write_json, write_picture

    # everything is checked before any data is read
    sizes = numbers(eps, "--eps")
    folder = new_folder(out, f"attack-{run.title}")
    known = run.check()
    source = Source.of(run, data, data_root)
    check_data(source.name, split)
    if known is not None:
        check_classes(known, source, split)

    from payattention.data.same_classes import known_part
    from payattention.evaluation.attack import attack as measure
    from payattention.evaluation.attack import check_away_from
    from payattention.evaluation.attacks import PGD, check_eps, named_attacks
    from payattention.figures.attack import attack_figure
    from payattention.pictures.channels import picture_from

    check_eps(sizes)
    check_away_from(away_from)
    chosen = named_attacks(names_in(attacks), PGD(steps, step_size, random_start, objective))
    model = loaded_for(run, source, split)
    images = read_for(model, source, split, strict=strict, limit=limit)

    result = measure(model, images, chosen, sizes, away_from=away_from, seed=seed, console=progress_console())
    print_class_notes(result)
    if pictures:
        measured, _ = known_part(images, model.classes)
        shown = {
            f"{k}, {images.classes[label]}": picture_from(image)
            for k, (image, label) in enumerate(zip(measured.images[:pictures], measured.labels, strict=False))
        }
        sheet = attack_figure({run.title: model}, shown, list(chosen.values())[-1], sizes, size=images.image_size)
        write_picture(folder / "attack.png", sheet)
    write_json(folder / "attack.json", result.as_json())
    if as_json:
        print_json({"out": str(folder), **result.as_json()})
        return
    print_result(result)
    print(f"written: {folder}")
