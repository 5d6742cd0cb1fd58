"""Measures how much slower work becomes beside other work, for docs/machine.md.

Writes results/neighbours.json, in about ten minutes on a machine that does nothing else. Each kind of work runs on the
quiet machine, then beside processes that do nothing but compute:

- maps: `payattention maps` on 12 photographs, by EfficientNet-Lite0 at 224 px, without the program's start;
- backbone: that frozen backbone's pass over 300 pictures at 160 px, as `payattention train --freeze` makes it;
- head: training what follows it, 50 steps on features;
- step: four training steps of `vgg_att2_concat_pc` at width 0.125.

Each is measured as it was before the program chose ("before": the OpenMP runtime spins at its barriers, and one batch
comes after the other), as it chooses now, and on one thread.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer

from measuring import Measurement, OutOption, RoundsOption, say
from payattention.cli.program import run_script
from payattention.errors import PayAttentionError, UsageError
from payattention.system.names import check_known

WAYS: dict[str, dict[str, str]] = {
    "before": {"PAYATTENTION_BENCHMARK_WAY": "before"},
    "now": {"GOMP_SPINCOUNT": "1000"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
BACKBONE, PICTURES = "tf_efficientnet_lite0", 12
PATIENCE = 2  # neighbours beside which "before" is measured once; beside more it takes minutes


@contextmanager
def computing_beside(count: int) -> Iterator[None]:
    """Processes that compute and nothing else."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    time.sleep(0.5)
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def _measured(kind: str, environment: dict[str, str], rounds: int) -> list[float]:
    """Seconds of each round, in a process of its own: how threads wait is settled when PyTorch is loaded."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, __file__, "--kind", kind, "--rounds", str(rounds)]
    done = subprocess.run(command, env=clean | environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise PayAttentionError(f"{kind} could not be measured; its own message stands above")
    found: list[float] = json.loads(done.stdout)
    return found


def _summary(seconds: dict[str, dict[str, dict[str, list[float]]]]) -> dict[str, Any]:
    """Minimum, median and maximum; and the medians as multiples of the quiet machine's."""
    from payattention.speed.timing import Spread

    result: dict[str, Any] = {}
    for kind, ways in seconds.items():
        result[kind] = {}
        for way, by_count in ways.items():
            spread = {count: Spread.of(taken) for count, taken in by_count.items()}
            quiet = spread.get("0")
            times = {n: round(found.median / quiet.median, 2) for n, found in spread.items()} if quiet else {}
            result[kind][way] = {"seconds": {n: asdict(s) for n, s in spread.items()}, "times_slower": times}
    return result


def _seconds(kind: str, rounds: int) -> list[float]:
    if os.environ.get("PAYATTENTION_BENCHMARK_WAY") == "before":
        _one_after_the_other()
    import torch

    from payattention.speed.timing import alternated, seconds_of

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        action = KINDS[kind](Path(folder))
        return alternated({kind: partial(seconds_of, action, torch.device("cpu"))}, rounds)[kind]


def _one_after_the_other() -> None:
    """As it was: no workers, the network's own threads alone."""
    from payattention.system import workers

    def in_turn(function: Callable[[Any], Any], items: Any, device: object) -> Iterator[Any]:
        yield from map(function, items)

    workers.computed_in_order = in_turn  # type: ignore[assignment]
    workers.in_order = lambda function, items, *_, **__: in_turn(function, items, None)  # type: ignore[assignment]


def _attached() -> Any:
    import payattention as pa

    model = pa.attach(BACKBONE, num_classes=5, levels=2, pretrained=False, freeze=True)
    model.image_size = 224
    return model


def _maps(folder: Path) -> Callable[[], object]:
    import numpy as np
    from PIL import Image
    from skimage import data

    from payattention.explaining.folder import write_maps
    from payattention.explaining.request import Request
    from payattention.pictures.finding import Named

    photographs = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    files = {}
    for k in range(PICTURES):
        path = folder / f"{k}.jpg"
        Image.fromarray(np.roll(photographs[k % 4], 40 * k, axis=1)).save(path)
        files[path] = True
    model, run = _attached().eval(), [0]

    def action() -> None:
        run[0] += 1
        write_maps(Request.of(model), Named(files, {}), folder / f"out-{run[0]}")

    return action


def _backbone(folder: Path) -> Callable[[], object]:
    import numpy as np
    import torch

    from payattention.data import ImageSet
    from payattention.training.features import FeatureSet

    images = np.random.default_rng(0).integers(0, 256, (300, 160, 160, 3), np.uint8)
    data = ImageSet("noise", "train", images, np.arange(300) % 5, tuple("abcde"))
    model = _attached()
    return lambda: FeatureSet.of(model, data, torch.device("cpu"), folder / "features")


def _head(folder: Path) -> Callable[[], object]:
    import torch
    import torch.nn.functional as F

    from payattention.training.features import FeatureClassifier
    from payattention.training.optimisation import create_optimizer
    from payattention.training.recipe import load_recipe

    model = _attached().train()
    network = FeatureClassifier(model)
    with torch.no_grad():
        features = {
            name: values.contiguous(memory_format=torch.channels_last)
            for name, values in model.trunk.features(torch.randn(32, 3, 224, 224)).items()
        }
    labels, optimizer = torch.randint(5, (32,)), create_optimizer(network, load_recipe("probe"))

    def action() -> None:
        for _ in range(50):
            optimizer.zero_grad()
            F.cross_entropy(network(features), labels).backward()
            optimizer.step()

    return action


def _step(folder: Path) -> Callable[[], object]:
    import torch

    import payattention as pa
    from payattention.speed.benchmark import training_step

    model = pa.create_model("vgg_att2_concat_pc", 10, 0.125).to(memory_format=torch.channels_last).train()
    images = torch.rand(64, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    step = training_step(model, images, torch.randint(10, (64,)), "float32")
    return lambda: [step() for _ in range(4)]


KINDS: dict[str, Callable[[Path], Callable[[], object]]] = {
    "maps": _maps,
    "backbone": _backbone,
    "head": _head,
    "step": _step,
}


def main(
    kinds: Annotated[str, typer.Option(metavar="A,B,...", help="Kinds of work.")] = ",".join(KINDS),
    neighbours: Annotated[
        str, typer.Option(metavar="N,M,...", help="How many other processes compute, 0 for the quiet machine.")
    ] = "0,1,2,4",
    rounds: RoundsOption = 3,
    out: OutOption = None,
    kind: Annotated[str | None, typer.Option(help="Measure one kind here, and print its seconds.", hidden=True)] = None,
) -> None:
    chosen = kinds.split(",") if kind is None else [kind]
    check_known("kind of work", KINDS, *chosen)
    if kind is not None:
        print(json.dumps(_seconds(kind, rounds)))
        return
    counts = neighbours.split(",")
    if not all(count.isdigit() for count in counts):
        raise UsageError(f"--neighbours {neighbours}: write whole numbers with commas between, as 0,1,2,4")
    measurement = Measurement("neighbours", out)
    measurement.write({"work": _summary(_beside(list(map(int, counts)), chosen, rounds))})


def _beside(counts: list[int], kinds: list[str], rounds: int) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Seconds of each round, by kind of work, way and number of neighbours."""
    seconds: dict[str, dict[str, dict[str, list[float]]]] = {kind: {way: {} for way in WAYS} for kind in kinds}
    for count in counts:
        with computing_beside(count):
            for kind, (way, environment) in product(kinds, WAYS.items()):
                if way == "before" and count > PATIENCE:
                    continue
                taken = _measured(kind, environment, 1 if way == "before" and count == PATIENCE else rounds)
                seconds[kind][way][str(count)] = taken
                say(f"{count} neighbours, {kind}, {way}: {taken}")
    return seconds


if __name__ == "__main__":
    run_script(main)
