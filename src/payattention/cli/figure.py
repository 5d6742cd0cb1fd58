"""`payattention figure`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from payattention.cli.attack import EpsOption, ObjectiveOption, RandomStartOption, StepSizeOption, StepsOption
from payattention.cli.computing import computes
from payattention.cli.options import JsonOption, numbers, picture_file

if TYPE_CHECKING:
    from payattention.models import Classifier

KINDS = ("activations", "attack", "maps", "masks", "query")
_MOST = 24  # pictures on one sheet


@computes
def figure(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="maps (the paper's figures 4 and 7), activations (figure 3), attack (figure 5), masks (figure 8) or "
            "query (figure 10).",
            show_default=False,
        ),
    ],
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders or .safetensors files.", show_default=False)
    ],
    picture: Annotated[
        list[Path],
        typer.Option(metavar="IMAGE", help="Picture file, or folder; may be repeated.", show_default=False),
    ],
    size: Annotated[
        int | None,
        typer.Option(
            help="The pictures' shorter side as the models see them, in pixels; by default each model's training size "
            "(paper: 32).",
            show_default=False,
        ),
    ] = None,
    query: Annotated[
        Path | None,
        typer.Option(metavar="IMAGE", help="Of query: the picture that asks the others.", show_default=False),
    ] = None,
    eps: EpsOption = "1,2,4,8,16",
    attack: Annotated[str, typer.Option(help="fgsm (the paper's), pgd, or noise to compare with.")] = "fgsm",
    steps: StepsOption = 20,
    step_size: StepSizeOption = None,
    random_start: RandomStartOption = True,
    objective: ObjectiveOption = "probability",
    out: Annotated[
        Path | None, typer.Option(help="Picture file to write; by default KIND.png here.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Draw a figure of the paper from your models and pictures.

    attack: the pictures under an attack of growing size, what each model sees in them, and where it looks.
    maps: where each model looks, level by level; activations: beside that, where the level's features are strong.
    masks: the combined map, and the object that it cuts out. query: the maps under the pictures' own query, under that
    of another picture, and the change.
    """
    from payattention.cli.output import print_json, print_left_out
    from payattention.errors import UsageError
    from payattention.pictures.finding import picture_files, unreadable
    from payattention.pictures.reading import read_picture
    from payattention.system.files import write_picture
    from payattention.system.names import check_known

    check_known("kind of figure", KINDS, kind)
    if (kind == "query") != (query is not None):
        raise UsageError("the figure query, and no other, takes a picture that asks: --query IMAGE")
    sizes = numbers(eps, "--eps")
    file = picture_file(out, f"{kind}.png")
    for run in runs:
        _check_can(kind, run)
    named = picture_files(picture)
    skipped = unreadable(named)
    print_left_out([*skipped.values()])
    files = [path for path in named.files if path not in skipped]
    if len(files) > _MOST:
        raise UsageError(f"{len(files)} pictures are too many for one sheet: name at most {_MOST}")

    from payattention.evaluation.attacks import PGD, check_eps, named_attacks
    from payattention.figures.attack import attack_figure
    from payattention.figures.query import query_figure
    from payattention.figures.side_by_side import activations_figure, maps_figure, masks_figure

    check_eps(sizes)
    (method,) = named_attacks([attack], PGD(steps, step_size, random_start, objective)).values()
    models = _loaded(runs)
    pictures = {name: read_picture(path) for name, path in _names(files).items()}
    if kind == "attack":
        sheet = attack_figure(models, pictures, method, sizes, size=size)
    elif query is not None:
        sheet = query_figure(models, read_picture(query), pictures, size=size)
    else:
        draw = {"maps": maps_figure, "activations": activations_figure, "masks": masks_figure}[kind]
        sheet = draw(models, pictures, size=size)
    write_picture(file, sheet)
    if as_json:
        print_json({"figure": str(file), "models": list(models), "pictures": list(pictures)})
    else:
        print(f"figure: {file}")


def _check_can(kind: str, run: Path) -> None:
    """Raises UsageError for a saved network that is known to lack what a figure shows."""
    from payattention.weights.named import named

    model = named(str(run))
    if kind == "query":
        model.check_has_query()
    elif kind != "attack":
        model.check_has_maps()
    else:
        model.check()


def _loaded(runs: list[Path]) -> dict[str, "Classifier"]:
    """The models, each once, by a name to call them."""
    from payattention.cli.reading import loaded
    from payattention.weights.named import named

    return {name: loaded(named(str(run))) for name, run in _names(runs).items()}


def _names(paths: list[Path]) -> dict[str, Path]:
    """Paths by their last part, or whole where several end alike."""
    from payattention.weights.named import named

    short = [named(str(path)).title for path in paths]
    return {name if short.count(name) == 1 else str(path): path for name, path in zip(short, paths, strict=True)}
