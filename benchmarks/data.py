"""Measures reading, caching and feeding of data, for docs/data.md.

Writes results/data.json. CIFAR-100 is read as a Hugging Face copy (lossless WebP) below PAYATTENTION_DATA. The
photographs are JPEG files of 500x375 pixels, of which every fifth is held out: hard links to 500 different crops of
scikit-learn's two sample photographs, so that making them takes seconds. Each part runs in a process of its own, on two
cores; memory is that process's peak.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from measuring import Measurement, OutOption, peak_mebibytes, say
from payattention.cli.program import run_script
from payattention.data.places import CACHE_VARIABLE
from payattention.errors import PayAttentionError
from payattention.system.names import check_known
from payattention.system.reporting import per_cent

DIFFERENT, SIZE = 500, 224
LOADER_PHOTOS = 2_000  # enough for a rate
MODEL, WIDTH, BATCH, STEPS = "vgg_att2_concat_pc", 0.25, 128, 6


def measured_alone(part: str, folder: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--part", part, "--folder", folder]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise PayAttentionError(f"{part} could not be measured; its own message stands above")
    result: dict[str, Any] = json.loads(done.stdout)
    say(part, result)
    return result


def timed(action: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    value = action()
    return value, round(time.perf_counter() - start, 3)


def cifar100(_: Path) -> dict[str, Any]:
    from payattention.data import load_data

    data, seconds = timed(lambda: load_data("cifar100"))
    again, seconds_again = timed(lambda: load_data("cifar100"))
    assert (data.images[:100] == again.images[:100]).all()
    return {"images": len(data), "decode_and_cache_seconds": seconds, "open_again_seconds": seconds_again}


def feeding(_: Path) -> dict[str, Any]:
    """What an epoch's batches cost beside the training step, at full size; the recipe's flips and shifts included."""
    import torch

    from payattention.data import limited, load_data
    from payattention.training.batches import DeviceSet, Epoch
    from payattention.training.fit import new_model
    from payattention.training.recipe import load_recipe

    data = load_data("cifar100")
    recipe = load_recipe("modern", {"batch_size": BATCH, "sizes": [1.0]})
    model = new_model(MODEL, limited(data, 1000), recipe, width=WIDTH).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True)
    batches = iter(Epoch(DeviceSet.of(data, torch.device("cpu")), recipe, seed=0, number=0))
    next(batches)  # the permutation, once an epoch
    feeding_seconds = stepping_seconds = 0.0
    for step in range(STEPS + 1):
        (images, labels), fed = timed(lambda: next(batches))

        def train(images: torch.Tensor = images, labels: torch.Tensor = labels) -> None:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()

        _, stepped = timed(train)
        if step:  # the first warms up
            feeding_seconds, stepping_seconds = feeding_seconds + fed, stepping_seconds + stepped
    return {
        "model": MODEL,
        "width": WIDTH,
        "batch_size": BATCH,
        "feeding_ms": round(1000 * feeding_seconds / STEPS, 2),
        "step_ms": round(1000 * stepping_seconds / STEPS, 1),
        "feeding_percent_of_step": per_cent(feeding_seconds / stepping_seconds, 2),
    }


def photographs(folder: Path) -> dict[str, Any]:
    from payattention.data import load_data

    name = f"folder:{folder / 'photographs'}"
    data, seconds = timed(lambda: load_data(name, image_size=SIZE))
    decoding_peak = peak_mebibytes()
    again, opened = timed(lambda: load_data(name, image_size=SIZE))
    _, read = timed(lambda: [again.images[k : k + 64].sum() for k in range(0, len(again), 64)])
    return {
        "images": len(data),
        "size": SIZE,
        "decode_and_cache_seconds": seconds,
        "images_per_second": round(len(data) / seconds, 1),
        "peak_memory_mebibytes": decoding_peak,
        "open_again_seconds": opened,
        "cached_images_per_second": round(len(data) / read, 1),
    }


def torchvision_loader(folder: Path) -> dict[str, Any]:
    """The same photographs through torchvision's ImageFolder and a DataLoader with two workers, each epoch anew."""
    from torch.utils.data import DataLoader, Subset
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    transform = v2.Compose([v2.Resize(SIZE, v2.InterpolationMode.BICUBIC), v2.CenterCrop(SIZE), v2.PILToTensor()])
    files = ImageFolder(str(folder / "photographs"), transform)
    chosen = Subset(files, range(0, len(files), max(1, len(files) // LOADER_PHOTOS)))
    loader = DataLoader(chosen, batch_size=64, num_workers=2)
    count, seconds = timed(lambda: sum(len(labels) for _, labels in loader))
    return {"images": count, "workers": 2, "seconds": seconds, "images_per_second": round(count / seconds, 1)}


def make_photographs(folder: Path, count: int) -> None:
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_images

    random = np.random.default_rng(0)
    pictures = [Image.fromarray(picture) for picture in load_sample_images().images]
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
    for k in range(min(DIFFERENT, count)):
        left, top = int(random.integers(0, 140)), int(random.integers(0, 50))
        crop = pictures[k % 2].crop((left, top, left + 500, top + 375))
        crop.save(folder / "a" / f"{k:05d}.jpg", quality=90)
    for k in range(DIFFERENT, count):
        (folder / "ab"[k % 2] / f"{k:05d}.jpg").hardlink_to(folder / "a" / f"{k % DIFFERENT:05d}.jpg")


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "cifar100": cifar100,
    "feeding": feeding,
    "photographs": photographs,
    "torchvision_loader": torchvision_loader,
}


def main(
    photographs: Annotated[
        int, typer.Option(min=10, help="Photographs to make; a fifth of them is held out and not read.")
    ] = 12_500,
    out: OutOption = None,
    part: Annotated[
        str | None, typer.Option(help="Measure one part in this process, and print it.", hidden=True)
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the photographs of that part lie.", hidden=True)] = Path(),
) -> None:
    if part is not None:
        check_known("part", PARTS, part)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
        print(json.dumps(PARTS[part](folder)))
        return
    measurement = Measurement("data", out)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ[CACHE_VARIABLE] = f"{temporary}/decoded"
        make_photographs(Path(temporary) / "photographs", photographs)
        results = {part: measured_alone(part, temporary) for part in PARTS}
    measurement.write(results)


if __name__ == "__main__":
    run_script(main)
