"""`payattention studio`."""

from pathlib import Path
from typing import Annotated

import typer

from payattention.cli.computing import computes
from payattention.errors import UsageError


@computes
def studio(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="Models to choose from beside those that come with payattention and the runs: run folders or files, "
            "timm:NAME, torchvision:NAME (with pre-trained weights), transformers:FOLDER, script.py:FUNCTION. The "
            "first is chosen at first.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address of this machine to listen at; one that others can reach needs --auth.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0 for any that is free.")] = 7860,
    auth: Annotated[
        str | None,
        typer.Option(
            metavar="USER:PASSWORD",
            envvar="PAYATTENTION_AUTH",
            help="Name and password that the page asks for; others on this machine may read them in a command line, so "
            "the variable is better.",
            show_default=False,
        ),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder whose runs can be chosen, and where new ones are written.")] = Path(
        "runs"
    ),
    folder: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Folder whose pictures the page may show and train on, with all that lies in it; may be repeated. By "
            "default the one that it is started in.",
            show_default=False,
        ),
    ] = None,
    max_upload: Annotated[int, typer.Option(min=1, max=4096, help="MB that one upload may have.")] = 256,
) -> None:
    """Open a page on which anyone sees where a network looks; it runs on this machine, and stays there.

    Pictures, queries, attacks, folders, and training on your own pictures, in a browser, without writing code.
    """
    from payattention.studio.serving import check_call, launch

    check_call(host, port, auth)
    if missing := [place for place in folder or () if not place.is_dir()]:
        raise UsageError(f"--folder {missing[0]}: no such folder")

    from dataclasses import replace

    from payattention.studio.service import Bounds
    from payattention.studio.uploads import LIMITS, MIB
    from payattention.weights.named import named_trained

    given = [named_trained(model) for model in models or []]
    for model in given:
        model.check()
    limits = replace(LIMITS, upload=max_upload * MIB, picture=min(LIMITS.picture, max_upload * MIB))
    places = folder or [Path()]
    launch(given, host=host, port=port, auth=auth, runs=runs, bounds=Bounds(limits), places=places)
