"""`payattention benchmark`."""

import sys
import warnings
from typing import TYPE_CHECKING, Annotated

import typer

from payattention.cli.computing import computes
from payattention.cli.options import JsonOption, SetOption, WidthOption, assignments

if TYPE_CHECKING:
    from payattention.models import Classifier


@computes
def benchmark(
    model: Annotated[
        str,
        typer.Argument(
            help="Network, of `payattention models`, timm:NAME for attention on a timm backbone, or a run folder or "
            ".safetensors file; or as it is, torchvision:NAME, transformers:FOLDER or script.py:FUNCTION."
        ),
    ] = "vgg_att3_concat_pc",
    width: WidthOption = 1.0,
    classes: Annotated[
        int | None,
        typer.Option(min=2, help="Classes of a network given by name; by default 100.", show_default=False),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a step (the paper: 128).")] = 64,
    image_size: Annotated[
        int | None,
        typer.Option(
            min=1, help="Side of the images in pixels; by default the network's own (paper: 32).", show_default=False
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            metavar="auto|float32|bf16|int8",
            help="bf16 is mixed, as in training; int8 is inference on the CPU, and needs the extra `export`. auto: as "
            "`payattention train` takes it, float32 on a CPU, bf16 on a CUDA GPU.",
        ),
    ] = "auto",
    phase: Annotated[
        str | None, typer.Option(help="training or inference; by default both (int8: inference).", show_default=False)
    ] = None,
    seconds: Annotated[float, typer.Option(min=0, help="How long each phase is timed; three steps at least.")] = 5.0,
    compile_: Annotated[bool, typer.Option("--compile", help="Run through torch.compile.")] = False,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a network's speed, arithmetic and memory.

    Training steps and inference on random images: images/s, step time, floating-point operations, the share of what
    this machine reaches in a large matrix product, peak memory. Inference also with batch norms folded, and on a CPU in
    float32 both also by Winograd's algorithm, where it is faster.
    """
    from dataclasses import asdict

    from payattention.speed.benchmark import PHASES, check

    options = assignments(set_, "--set")
    phases = ("inference",) if precision == "int8" and phase is None else PHASES if phase is None else (phase,)
    check(precision, phases, batch_size, compile_)
    network = _network(model, classes, width, options)

    from payattention.cli.output import print_json, print_table
    from payattention.speed import benchmark

    result = benchmark(
        network,
        batch_size=batch_size,
        image_size=image_size,
        precision=precision,
        phases=phases,
        seconds=seconds,
        compiled=compile_,
    )
    for note in result.notes:
        print(f"note: {note}", file=sys.stderr)
    if as_json:
        print_json(asdict(result))
        return
    title = (
        f"{result.model}, width {result.width:g}, {result.parameters:,} parameters: batches of {result.batch_size} at "
        f"{result.image_size} px in {result.precision}"
    )
    columns = ("phase", "images/s", "step ms: min", "median", "max", "GFLOP/image", "TFLOP/s", "% of peak", "MiB")
    rows = [
        (
            name, pace.images_per_second, pace.step_ms.min, pace.step_ms.median, pace.step_ms.max,
            pace.gflop_per_image, pace.tflops, pace.percent_of_peak, pace.peak_mebibytes,
        )
        for name, pace in result.phases.items()
    ]  # fmt: skip
    print_table(columns, rows, title)
    peak = "-" if result.matrix_peak_tflops is None else result.matrix_peak_tflops
    print(f"on {result.provenance.device}; peak of a matrix product: {peak} TFLOP/s")


def _network(model: str, classes: int | None, width: float, options: dict[str, object]) -> "Classifier":
    from payattention.errors import UsageError
    from payattention.models import check_model, create_model
    from payattention.weights.named import load, of_a_model

    if not of_a_model(model):
        check_model(model, width, **options)
        return create_model(model, classes or 100, width, **options)
    if classes or options or width != 1:
        raise UsageError(f"{model} has classes and channels of its own; leave --classes, --width and --set out")
    with warnings.catch_warnings():  # of fresh weights, which are as fast as trained ones
        warnings.simplefilter("ignore", UserWarning)
        return load(model)
