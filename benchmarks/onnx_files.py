"""Times exported files in ONNX Runtime against the same networks in PyTorch, in turn, for docs/speed.md.

Writes results/onnx.json, in about two minutes on two CPU cores of a machine that does nothing else.

What is timed is a look, logits and maps, of one picture and of a batch: PyTorch in float32 as the network stands and
folded, ONNX Runtime in float32 and in int8. Weights and pictures are random ones: how fast a network is does not depend
on what it has learnt. How well the outputs agree is checked where a file is written (`payattention export`).
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

import payattention as pa
from measuring import Measurement, OutOption, RoundsOption, say
from payattention.cli.program import run_script
from payattention.errors import UsageError
from payattention.exporting.int8 import multiplies_in_int8, quantised
from payattention.exporting.onnx import OnnxModel
from payattention.models import Classifier, Look, create_model, fold
from payattention.speed import Spread, alternated, ratios
from payattention.speed.timing import seconds_of
from payattention.system.allocator import keep_freed

CPU, SEED = torch.device("cpu"), 0
EAGER, FOLDED, RUNTIME, INT8 = "PyTorch", "PyTorch, folded", "ONNX Runtime", "ONNX Runtime, int8"
BATCHES = (1, 32)
NETWORKS: Mapping[str, Callable[[], Classifier]] = {
    "timm:tf_efficientnet_lite0": partial(create_model, "timm:tf_efficientnet_lite0", 101),
    "vgg_att2_concat_pc": partial(create_model, "vgg_att2_concat_pc", 10, 0.25),
}
SMALL: Mapping[str, Callable[[], Classifier]] = {"vgg_att_pc": partial(create_model, "vgg_att_pc", 3, 0.0625)}
"""Of a smoke test."""


def compared(model: Classifier, rounds: int) -> dict[str, Any]:
    """A network's paces by batch, and how many times as fast as PyTorch in float32 each way is, round by round."""
    model, side = model.eval(), model.image_size
    calibration = torch.rand(32, model.in_channels, side, side)
    with tempfile.TemporaryDirectory() as folder:
        file = pa.export(model, Path(folder, "model.onnx"), pruned=True, folded=True, size=side).path
        exported = OnnxModel(file.read_bytes())
    folded, twin = fold(model), quantised(model, calibration)
    ways = {EAGER: model.attend, FOLDED: folded.attend, RUNTIME: exported.attend, INT8: twin.attend}
    return {"size": side, "batches": {str(n): _taken(ways, _images(model, n), rounds) for n in BATCHES}}


def _images(model: Classifier, count: int) -> torch.Tensor:
    return torch.rand(count, model.in_channels, model.image_size, model.image_size)


def _taken(ways: Mapping[str, Callable[[torch.Tensor], Look]], images: torch.Tensor, rounds: int) -> dict[str, Any]:
    """Pictures/s, and ratios to the first way."""

    @torch.inference_mode()
    def seconds(look: Callable[[torch.Tensor], Look]) -> float:
        repeats = max(1, 8 // len(images))  # one small picture is over too soon to be timed
        return seconds_of(lambda: [look(images) for _ in range(repeats)], CPU) / repeats

    times = alternated({way: partial(seconds, look) for way, look in ways.items()}, rounds)
    paces = {way: [len(images) / t for t in taken] for way, taken in times.items()}
    return {
        "pictures_per_second": {way: asdict(Spread.of(taken)) for way, taken in paces.items()},
        "times_as_fast": {way: asdict(ratios(times[EAGER], taken)) for way, taken in times.items() if way != EAGER},
    }


def main(
    rounds: RoundsOption = 9,
    small: Annotated[
        bool, typer.Option("--small", help="A smoke test of a tiny network; its numbers mean nothing.")
    ] = False,
    out: OutOption = None,
) -> None:
    if small and out is None:
        raise UsageError("--small measures nothing worth keeping: name another file, --out FILE")
    torch.manual_seed(SEED)
    keep_freed()  # as the command line does; ONNX Runtime has memory of its own
    measurement = Measurement("onnx", out, CPU, SEED)
    networks: dict[str, Any] = {}
    for name, made in (SMALL if small else NETWORKS).items():
        networks[name] = compared(made(), rounds)
        say(name, networks[name])
        measurement.write({"rounds": rounds, "vnni": multiplies_in_int8(), "networks": networks})


if __name__ == "__main__":
    run_script(main)
