"""Measures our speed against the public PyTorch implementation's, in turn, for docs/speed.md.

Writes results/speed.json, in about six minutes on two CPU cores of a machine that does nothing else.

Training is `vgg_att3_concat_pc` at full width, batch 64: their network in their loop, in a process of its own
(`benchmarks/peer.py`); ours by `payattention.training.fit`, as the command line runs it. Inference is their network as
it stands, ours as it stands, folded, by Winograd, in int8. What a machine lacks is written as "not measured", with the
reason.
"""

import io
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np
import torch
import typer
from rich.console import Console

from measuring import Measurement, OutOption, RoundsOption, say
from payattention.cli.options import LimitOption
from payattention.cli.program import run_script
from payattention.data import ImageSet, limited, load_data
from payattention.data.tensors import images_of, slices_of
from payattention.errors import UsageError
from payattention.evaluation.query import total_variation
from payattention.exporting.int8 import CALIBRATION, quantised
from payattention.models import Classifier, Look, create_model, fold, prune, winograd
from payattention.speed import Spread, alternated, benchmark, ratios
from payattention.speed.arithmetic import matrix_peak
from payattention.speed.benchmark import inference as inference_of
from payattention.speed.timing import Action, seconds_of
from payattention.system.allocator import keep_freed
from payattention.system.machine import abilities, choosing
from payattention.system.reporting import per_cent
from payattention.training.callbacks.views import Views
from payattention.training.execution import Execution
from payattention.training.fit import fit, new_model
from payattention.training.recipe import load_recipe
from payattention.weights.named import load
from peer import LOG_EVERY, PeerProcess

MODEL, CLASSES, BATCH = "vgg_att3_concat_pc", 100, 64
CPU = torch.device("cpu")
SGD = import_module("torch.optim.sgd")
LIKE_THEIRS: dict[str, Any] = {"flips": "random", "shift": 4, "border": "zero", "dropout": 0.0, "epochs": 1}
"""What makes our recipe `paper`, SGD at full size, train as their loop does."""


@dataclass(frozen=True)
class Setting:
    """How large and how often: the benchmark's own size, or a smoke test's."""

    rounds: int
    steps: int
    small: bool

    @property
    def width(self) -> float:
        return 0.125 if self.small else 1.0

    @property
    def batch(self) -> int:
        return 8 if self.small else BATCH


def noise(count: int, classes: int = CLASSES) -> ImageSet:
    """Random CIFAR-like images: how fast a network is does not depend on what it sees."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 32, 32, 3), np.uint8)
    return ImageSet("noise", "train", images, np.arange(count) % classes, tuple(map(str, range(classes))))


def training(setting: Setting) -> dict[str, Any]:
    """Their loop and ours; a tenth of their logging pass, which comes every tenth step, counts for each step."""
    results: dict[str, Any] = {}
    for name, target in (("float32", 1.15), ("bf16", 2.5)):
        if name == "bf16" and "BF16" not in abilities():
            results[name] = "not measured: this processor has no bf16 arithmetic"
            continue
        results[name] = _training(setting, name) | {"target": target}
    return results


def _training(setting: Setting, precision: str) -> dict[str, Any]:
    data = noise(setting.batch * setting.steps)
    with _theirs(setting) as theirs:
        times = alternated(
            {
                "theirs": lambda: theirs.seconds("train", setting.steps),
                "their log": lambda: theirs.seconds("log"),
                "ours": lambda: fit_seconds(_ours(setting, data), data, setting.batch, precision, False),
                "ours, Winograd": lambda: fit_seconds(_ours(setting, data), data, setting.batch, precision, True),
            },
            setting.rounds,
        )
    per_step = {name: [t / setting.steps for t in taken] for name, taken in times.items() if name != "their log"}
    per_step["theirs"] = [
        step + log / LOG_EVERY for step, log in zip(per_step["theirs"], times["their log"], strict=True)
    ]
    return _compared(per_step, "theirs", setting.batch)


def inference(setting: Setting) -> dict[str, Any]:
    images = torch.rand(setting.batch, 3, 32, 32)
    model = create_model(MODEL, CLASSES, setting.width).eval()
    folded = fold(prune(model))
    channels_last = images.contiguous(memory_format=torch.channels_last)
    twin = quantised(model, images)
    networks: dict[str, Action] = {
        "ours": inference_of(model, images),
        "ours, folded": inference_of(folded, channels_last),
        "ours, folded, Winograd": inference_of(winograd(folded), channels_last),
        "ours, int8": lambda: twin(images),
    }
    if "BF16" in abilities():
        networks["ours, folded, bf16"] = inference_of(folded, channels_last, "bf16")
    ours = {n: partial(seconds_of, action, CPU) for n, action in networks.items()}
    with _theirs(setting) as theirs:
        times = alternated({"theirs": lambda: theirs.seconds("infer"), **ours}, setting.rounds)
    targets = {"ours, folded": 1.1, "ours, folded, bf16": 2.3, "ours, int8": 3.5}
    missing = (
        {} if "ours, folded, bf16" in networks else {"bf16": "not measured: this processor has no bf16 arithmetic"}
    )
    return _compared(times, "theirs", setting.batch) | {"targets": targets} | missing


def outside_the_network(setting: Setting) -> dict[str, Any]:
    """The share of training that is not forward pass, backward pass or update: data, augmentation, the loop, logs.

    Both are measured in the same run, so that what else the machine does falls on both.
    """
    width, size, steps = (setting.width, setting.batch, 2) if setting.small else (0.25, 128, 3)
    data, spent = noise(size * steps), [0.0]

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = function(*args, **kwargs)
            spent[0] += time.perf_counter() - start
            return result

        return call

    recipe = load_recipe("paper", LIKE_THEIRS | {"epochs": 2, "batch_size": size})
    model = new_model(MODEL, data, recipe, width=width)
    with (
        tempfile.TemporaryDirectory() as folder,
        choosing("cpu", "float32", None),
        patch.object(model, "forward", counted(model.forward)),
        patch("torch.autograd.backward", counted(torch.autograd.backward)),
        patch.object(SGD, "sgd", counted(SGD.sgd)),
    ):
        curve = fit(model, data, recipe, out=Path(folder), views=Views(console=Console(file=io.StringIO())))
    whole = sum(line["seconds"] for line in curve)
    return {
        "model": MODEL,
        "width": width,
        "batch_size": size,
        "steps": len(curve) * steps,
        "step_ms": round(1000 * whole / (len(curve) * steps), 1),
        "percent_outside": per_cent((whole - spent[0]) / whole, 2),
        "target": 5.0,
    }


def error_of(trained: Path | None, data: str, limit: int | None) -> dict[str, Any] | str:
    """What int8 and Winograd cost a trained network: test error, and how far its maps move."""
    if trained is None:
        return "not measured: needs a trained network, --trained RUN"
    model = load(trained)
    test, train = load_data(data, "test"), load_data(data, "train")
    test = test if limit is None else limited(test, limit)
    calibration = limited(train, CALIBRATION)
    faces: dict[str, Callable[[torch.Tensor], Look]] = {
        "float32": model.attend,
        "folded": fold(model).attend,
        "Winograd": winograd(fold(model)).attend,
        "int8": quantised(model, images_of(calibration, slice(None), CPU)).attend,
    }
    looks = {name: _looks(face, test) for name, face in faces.items()}
    wrong = {n: logits.argmax(1).numpy() != test.labels for n, (logits, _) in looks.items()}
    return {
        "model": model.name,
        "width": model.config.width,
        "data": data,
        "images": len(test),
        "error": {name: per_cent(missed.mean()) for name, missed in wrong.items()},
        "distance_of_maps": {
            name: {
                level: round(float(total_variation(moved, looks["float32"][1][level]).mean()), 6)
                for level, moved in maps.items()
            }
            for name, (_, maps) in looks.items()
            if name != "float32"
        },
    }


@torch.inference_mode()
def _looks(attend: Callable[[torch.Tensor], Look], data: ImageSet) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Logits and maps of a data set."""
    looks = [attend(images_of(data, chosen, CPU)) for chosen in slices_of(data, CPU)]
    maps = {name: torch.cat([look.maps[name] for look in looks]) for name in looks[0].maps}
    return torch.cat([look.logits for look in looks]), maps


def gpu() -> dict[str, Any] | str:
    """Training in bf16 against the GPU's own matrix peak, and an epoch of 50,000 images of 32x32."""
    if not torch.cuda.is_available():
        return "not measured: no CUDA GPU here"
    model = create_model(MODEL, CLASSES)
    paces = {
        f"batch {size}{', compiled' if compiled else ''}": asdict(
            benchmark(model, batch_size=size, precision="bf16", phases=("training",), compiled=compiled)
        )["phases"]["training"]
        for size in (512, 1024)
        for compiled in (False, True)
    }
    data = noise(50_000)
    recipe = load_recipe("paper", LIKE_THEIRS | {"epochs": 3, "batch_size": 512})
    with tempfile.TemporaryDirectory() as folder:
        curve = fit(new_model(MODEL, data, recipe), data, recipe, out=Path(folder))
    return {
        "training": paces,
        "target_percent_of_peak": 40.0,
        "epoch_seconds": curve[-1]["seconds"],
        "target_epoch_seconds": 4.0,
    }


def fit_seconds(model: Classifier, data: ImageSet, batch_size: int, precision: str, by_winograd: bool) -> float:
    """Seconds of one epoch on the CPU, as `payattention train` trains."""
    recipe = load_recipe("paper", LIKE_THEIRS | {"batch_size": batch_size})
    with (
        tempfile.TemporaryDirectory() as folder,
        choosing("cpu", precision, None),
    ):
        return fit(model, data, recipe, out=Path(folder), execution=Execution(winograd=by_winograd))[0]["seconds"]


def _ours(setting: Setting, data: ImageSet) -> Classifier:
    return new_model(MODEL, data, load_recipe("paper", LIKE_THEIRS), width=setting.width)


def _theirs(setting: Setting) -> PeerProcess:
    data = noise(32 * setting.batch)
    return PeerProcess(np.asarray(data.images), data.labels, setting.batch)


def _compared(times: dict[str, list[float]], base: str, batch: int) -> dict[str, Any]:
    """Images/s by name, and how many times as fast as the base each was, round by round."""
    return {
        "images_per_second": {n: asdict(Spread.of([batch / t for t in taken], 2)) for n, taken in times.items()},
        "times_as_fast": {n: asdict(ratios(times[base], taken)) for n, taken in times.items() if n != base},
    }


def main(
    rounds: RoundsOption = 3,
    steps: Annotated[int, typer.Option(min=1, help="Training steps in each turn.")] = 2,
    trained: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Also measure what int8 and Winograd cost this trained network in error.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[str, typer.Option(help="Its data set.")] = "parquet:cifar10",
    limit: LimitOption = None,
    small: Annotated[
        bool, typer.Option("--small", help="A smoke test: 1/8 width, batches of 8; its numbers mean nothing.")
    ] = False,
    out: OutOption = None,
) -> None:
    if small and out is None:
        raise UsageError("--small measures nothing worth keeping: name another file, --out FILE")
    setting = Setting(rounds, steps, small)
    keep_freed()  # as the command line does; theirs is measured in a process of its own
    parts: dict[str, Callable[[], Any]] = {
        "training": lambda: training(setting),
        "inference": lambda: inference(setting),
        "outside_the_network": lambda: outside_the_network(setting),
        "error": lambda: error_of(trained, data, limit),
        "gpu": gpu,
    }
    measurement = Measurement("speed", out)
    results: dict[str, Any] = {
        "model": MODEL,
        "classes": CLASSES,
        "width": setting.width,
        "batch_size": setting.batch,
        "matrix_peak_gflops": round(matrix_peak(CPU, torch.float32) / 1e9, 1),
        **dict.fromkeys(parts, "not measured: stopped before"),
    }
    for name, measure in parts.items():
        results[name] = measure()
        say(name, results[name])
        measurement.write(results)


if __name__ == "__main__":
    run_script(main)
