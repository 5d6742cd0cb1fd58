"""Measures training from a set four times as large as memory may be, beside the same set in memory, for docs/data.md.

Writes results/streaming.json. The pictures are 128x128 pixels of noise in a file of 1.5 GiB. Each training is a process
of its own: one holds the file's content in memory; to the other an address limit leaves a quarter of it, so that the
pictures stay on disk and batches are read ahead. The file is dropped from the system's cache before each. They take
turns, and their weights are compared in the end. What is timed are the last steps of an epoch, after a few that warm
up.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from measuring import Measurement, OutOption, RoundsOption, peak_mebibytes, say
from payattention.cli.program import run_script
from payattention.errors import PayAttentionError
from payattention.system.names import check_known

COUNT, SIDE, BATCH = 32_768, 128, 64
SHAPE = (COUNT, SIDE, SIDE, 3)
MODEL, WIDTH, SHARE = "vgg_att2_concat_pc", 0.125, 4


def make(file: Path) -> None:
    import numpy as np

    random = np.random.default_rng(0)
    with file.open("wb") as opened:
        for _ in range(0, COUNT, BATCH):
            opened.write(random.bytes(BATCH * SIDE * SIDE * 3))


def in_memory(file: Path, steps: int) -> dict[str, Any]:
    import numpy as np

    return _trained(np.fromfile(file, np.uint8).reshape(SHAPE), steps)


def limited(file: Path, steps: int) -> dict[str, Any]:
    import resource

    import numpy as np

    from payattention.data.on_disk import OnDisk
    from payattention.system.memory import fits

    _trained(np.zeros((BATCH, *SHAPE[1:]), np.uint8), 1)  # PyTorch's own code and threads are no data
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    now = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmSize"))
    size = file.stat().st_size
    resource.setrlimit(resource.RLIMIT_AS, (now + size // SHARE,) * 2)
    if fits(size):
        raise PayAttentionError("the limit leaves room for the whole set: there is nothing to measure")
    return _trained(OnDisk(file, np.dtype("u1"), SHAPE), steps)


PARTS: dict[str, Callable[[Path, int], dict[str, Any]]] = {"in memory": in_memory, "from disk": limited}


def _trained(images: Any, steps: int) -> dict[str, Any]:
    """Trains for some steps, and for some again, which are timed."""
    import time

    import numpy as np
    import torch

    from payattention.data import ImageSet
    from payattention.models import create_model
    from payattention.system.allocator import keep_freed
    from payattention.system.processes import ALONE
    from payattention.training.batches import training_set
    from payattention.training.launch import launched
    from payattention.training.loop import Position, Run, train
    from payattention.training.recipe import Recipe

    keep_freed()  # as the command line does
    data = ImageSet("noise", "train", images, np.arange(len(images)) % 2, ("a", "b"))
    recipe = Recipe(summary="benchmark", epochs=1, batch_size=BATCH, shift=4, sizes=(0.5,))
    torch.manual_seed(0)
    network = create_model(MODEL, 2, WIDTH, preprocessing="none")
    device = torch.device("cpu")
    seconds = 0.0
    for count in (min(steps, 8), steps):
        last = max(0, len(images) // BATCH - count)
        fabric = launched(device, "float32", ALONE)
        run = Run(fabric, ALONE, network, training_set(data, device), recipe, 0, start=Position(0, last, last))
        begin = time.perf_counter()
        train(run)
        seconds = time.perf_counter() - begin
        run.close()
    weights = b"".join(value.numpy().tobytes() for value in network.state_dict().values())
    digest = hashlib.sha256(weights).hexdigest()
    return {"images_per_second": steps * BATCH / seconds, "weights": digest, "peak_mebibytes": peak_mebibytes()}


def measured_alone(part: str, file: Path, steps: int) -> dict[str, Any]:
    with file.open("rb") as opened:
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    command = [sys.executable, __file__, "--part", part, "--file", str(file), "--steps", str(steps)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise PayAttentionError(f"{part} could not be measured; its own message stands above")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    say(part, result)
    return result


def main(
    rounds: RoundsOption = 5,
    steps: Annotated[int, typer.Option(min=9, help="That are timed.")] = 40,
    out: OutOption = None,
    part: Annotated[
        str | None, typer.Option(help="Measure one part in this process, and print it.", hidden=True)
    ] = None,
    file: Annotated[Path, typer.Option(help="Where the pictures of that part lie.", hidden=True)] = Path(),
) -> None:
    if part is not None:
        check_known("part", PARTS, part)
        print(json.dumps(PARTS[part](file, steps)))
        return
    measurement = Measurement("streaming", out, seed=0)
    from payattention.speed.timing import Spread, ratios

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "pictures")
        make(place)
        found = {name: list[dict[str, Any]]() for name in PARTS}
        for _ in range(rounds):
            for name, own in found.items():
                own.append(measured_alone(name, place, steps))
        size = place.stat().st_size
    rates = {name: [one["images_per_second"] for one in own] for name, own in found.items()}
    measurement.write(
        {
            "model": MODEL,
            "width": WIDTH,
            "batch_size": BATCH,
            "images": COUNT,
            "size": SIDE,
            "trained_at": SIDE // 2,
            "mebibytes": size // 2**20,
            "limit_mebibytes": size // SHARE // 2**20,
            "rounds": rounds,
            "images_per_second": {name: asdict(Spread.of(own, 1)) for name, own in rates.items()},
            "of_in_memory": asdict(ratios(rates["from disk"], rates["in memory"])),
            "peak_mebibytes": {name: max(one["peak_mebibytes"] for one in own) for name, own in found.items()},
            "same_weights": len({one["weights"] for own in found.values() for one in own}) == 1,
        }
    )


if __name__ == "__main__":
    run_script(main)
