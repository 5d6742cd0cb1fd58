"""Exports every network of the registry and timm backbones of a dozen families, for docs/deploying.md.

Writes results/exported.json. Each becomes an ONNX file, which is held against its model as `payattention export` does
it, on random pictures and on photographs that scikit-image ships, and is then removed; weights are fresh ones, but for
the statistics of batch norms.
"""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import nn

import payattention as pa
from payattention.cli.options import names_in
from payattention.cli.program import run_script
from payattention.errors import PayAttentionError
from payattention.explaining.specimens import specimens
from payattention.exporting.export import export
from payattention.models import Classifier
from payattention.system.files import write_json
from payattention.system.provenance import Stopwatch

RESULTS = Path(__file__).parent.parent / "results"
SEED, WIDTH, CLASSES = 0, 0.25, 10
BACKBONES = (
    "resnet18",
    "convnext_atto",
    "tf_efficientnet_lite0",
    "mobilenetv3_small_050",
    "regnety_002",
    "densenet121",
    "vgg11_bn",
    "swin_tiny_patch4_window7_224",
    "vit_tiny_patch16_224",
    "ghostnet_050",
    "pvt_v2_b0",
    "mobilevit_xxs",
    "repvit_m0_9",
    "mambaout_femto",
)


def made(name: str) -> Classifier:
    """A network whose batch norms have seen pictures."""
    torch.manual_seed(SEED)
    width = {} if name.startswith("timm:") else {"width": WIDTH}
    model = pa.create_model(name, CLASSES, **width)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.rand(4, model.in_channels, model.image_size, model.image_size))
    return model.eval()


def exported(name: str) -> dict[str, Any]:
    """What became of one network."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = export(made(name), Path(folder, "model.onnx"), pictures=[*specimens().pictures.values()])
        except PayAttentionError as error:
            return {"error": str(error)}
    return {
        "outputs": done.outputs,
        "any_size": done.sides.step is not None,
        "step": done.sides.step,
        "difference": done.difference,
        "megabytes": round(done.bytes / 1e6, 2),
        "seconds": round(time.perf_counter() - began, 1),
    }


def main(
    only: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="Some networks; by default all.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option(help="File to write.")] = RESULTS / "exported.json",
) -> None:
    watch, found = Stopwatch(), {}
    for name in names_in(only) or [*pa.list_models(), *(f"timm:{backbone}" for backbone in BACKBONES)]:
        found[name] = exported(name)
        typer.echo(f"{name}: {_in_words(found[name])}", err=True)
        facts = {"width": WIDTH, "photographs": [*specimens().pictures], "networks": found}
        write_json(out, {**facts, "provenance": asdict(watch.provenance(torch.device("cpu"), SEED))})


def _in_words(result: Mapping[str, Any]) -> str:
    if "error" in result:
        return str(result["error"])
    size = "any size" if result["any_size"] else "one size"
    return f"{result['difference']:.1e}, {size}, {result['seconds']} s"


if __name__ == "__main__":
    run_script(main)
