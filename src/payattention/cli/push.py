"""`payattention push`."""

from pathlib import Path
from typing import Annotated

import typer

from payattention.cli.options import JsonOption


def push(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="Run folder or .safetensors file of a model of this package.", show_default=False
        ),
    ],
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="USER/NAME",
            help="Repository on the Hugging Face Hub, which is made if it is not there; USER/NAME@BRANCH for another "
            "branch than the main one.",
            show_default=False,
        ),
    ] = None,
    license_: Annotated[
        str | None,
        typer.Option(
            "--license",
            metavar="ID|FILE",
            help="Licence of the weights, without which nothing is written: as the Hub calls it (apache-2.0, "
            "cc-by-4.0, ...), or a file that holds its text.",
            show_default=False,
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="A new repository is to be seen by its owner only.")
    ] = False,
    message: Annotated[str, typer.Option(help="Of the commit.")] = "Push the model",
    out: Annotated[
        Path | None,
        typer.Option(help="Only write the folder that would be pushed, to look at, here.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Put a model on the Hugging Face Hub, with a card that tells how it was trained.

    Pushed are model.safetensors, README.md (the card: data, recipe, error, command, what it is for, what it cannot do)
    and maps.jpg (its maps of pictures that anyone may show), in one commit. Where anything lay on this machine is left
    out. It needs a token that may write: `hf auth login`, or the environment variable HF_TOKEN. Every verb takes the
    model then as hf-hub:USER/NAME.
    """
    from payattention.cli.options import new_folder
    from payattention.cli.output import print_json
    from payattention.errors import UsageError
    from payattention.figures.model_card.licence import Licence
    from payattention.weights.hub import HubName, check_logged_in
    from payattention.weights.named import SavedModel, named

    hub = None if name is None else HubName.of(name)
    if hub is None and out is None:
        raise UsageError("say where to: USER/NAME on the Hub, or --out FOLDER")
    Licence.of(license_)
    folder = None if out is None else new_folder(out, "")
    saved = named(model)
    if not isinstance(saved, SavedModel):
        raise UsageError(f"{model}: a model is pushed from a run folder or a .safetensors file of this package")
    saved.check()
    if hub is not None and folder is None:
        check_logged_in(hub)

    from payattention.runs.sharing import push_to_hub, save_pretrained

    if folder is not None:
        save_pretrained(saved.load(), folder, license=license_, run=saved.path, name=name)
        print_json({"out": str(folder)}) if as_json else print(f"written: {folder}")
        return
    assert name is not None
    assert hub is not None
    network = saved.load()
    commit = push_to_hub(network, name, license=license_, run=saved.path, private=private, message=message)
    print_json({"model": str(hub), "commit": commit}) if as_json else print(f"pushed: {hub} ({commit})")
