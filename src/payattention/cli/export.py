"""`payattention export`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from payattention.cli.computing import computes
from payattention.cli.model_argument import of_a_model
from payattention.cli.options import DataRootOption, JsonOption, check_file
from payattention.errors import UsageError
from payattention.exporting.kinds import KINDS, check_export, kind_of

if TYPE_CHECKING:
    from torch import Tensor

    from payattention.exporting.export import Exported
    from payattention.models import Classifier
    from payattention.weights.named import NamedModel


@computes
@of_a_model
def export(
    run: "NamedModel",
    to: Annotated[
        str | None,
        typer.Option(
            metavar="onnx|torch",
            help="ONNX, which ONNX Runtime and browsers run (the extra `export`), or PyTorch's own .pt2; by default "
            "what the name of --out ends in, else onnx.",
            show_default=False,
        ),
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Without parameters that cannot matter, if any.")] = False,
    fold: Annotated[
        bool, typer.Option("--fold", help="Batch norms inside the convolutions, where that can be.")
    ] = False,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="Convolutions in 8 bits, with ranges taken from training pictures; pruned, folded, for pictures of "
            "the training's size. Of ONNX.",
        ),
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(
            help="Of --int8: the data set whose training pictures are taken; by default the run's own.",
            show_default=False,
        ),
    ] = None,
    data_root: DataRootOption = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Only for pictures of so many pixels a side; by default of any size where the network takes them, "
            "else its own.",
            show_default=False,
        ),
    ] = None,
    picture: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="IMAGE",
            help="A real picture to try the file with; may be repeated. By default three photographs that scikit-image "
            "ships.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to; by default the model's name, here.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a model as one file that other programs run: pixels in, logits and maps out.

    The file is run beside the model before it is there, on the CPU in float32, on random and on real pictures: unless
    all outputs agree to 1e-4, or as closely as the model's own rounding lets them, nothing is written.
    """
    kind = to or ("onnx" if out is None else kind_of(out, "--out"))
    file = out if out is not None else Path(f"{run.title}{KINDS[kind]}")
    check_export(file, kind, int8=int8, option="--out")
    check_file("--out", file)
    if not int8 and data is not None:
        raise UsageError("--data names the pictures that --int8 takes ranges from: add --int8, or leave it out")
    if int8 and size is not None:
        raise UsageError("--int8 makes a file for pictures of the training's size: leave --size out")
    run.check()

    from payattention.cli.output import print_json
    from payattention.explaining.specimens import specimens
    from payattention.exporting.export import export

    model = run.load()
    images = _to_calibrate(run, model, data, data_root) if int8 else None
    own = specimens().pictures.values() if model.in_channels in (1, 3) else ()
    done = export(model, file, pruned=prune, folded=fold, int8=images, size=size, pictures=picture or [*own])
    if as_json:
        print_json({**asdict(done), "path": str(done.path)})
    else:
        _tell(done)


def _to_calibrate(run: "NamedModel", model: "Classifier", data: str | None, root: Path | None) -> "Tensor":
    """Training pictures, from whose activations the ranges of int8 are taken."""
    import torch

    from payattention.cli.reading import Source, read_for
    from payattention.data.tensors import images_of
    from payattention.exporting.int8 import CALIBRATION

    pictures = read_for(model, Source.of(run, data, root), "train", limit=CALIBRATION)
    return images_of(pictures, slice(None), torch.device("cpu"))


def _tell(done: "Exported") -> None:
    print(f"{done.path}: {done.bytes / 1e6:.1f} MB, takes {done.sides.in_words}")
    print(f"gives {', '.join(done.outputs)}")
    rounded = "" if done.int8 is None else "before it is rounded to 8 bits, "
    print(
        f"{rounded}agrees with the model to {done.difference:.1e} of each output's greatest value, on random pictures "
        f"and {done.tried} real ones"
    )
    if done.int8 is not None:
        maps = done.int8.overlap_of_maps
        kept = "" if maps is None else f", maps share {maps:.1%} of their mass at least"
        print(f"in int8 {done.int8.same_class:.1%} of {done.int8.images} training pictures keep their class{kept}")
