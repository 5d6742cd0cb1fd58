"""Measures reading, caching and feeding of data, and writes results/data.json: `python benchmarks/data.py`.

CIFAR-100 is read as a Hugging Face copy (lossless WebP) below PAYATTENTION_DATA. The photographs are 10,000 JPEG files
of 500x375 pixels (and 2,500 held out): hard links to 500 different crops of scikit-learn's two sample photographs, so
that making them takes seconds. Each part runs in a process of its own, on two cores; memory is that process's peak.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from payattention.data.places import CACHE_VARIABLE
from payattention.system.files import write_json

RESULT = Path(__file__).parent.parent / "results" / "data.json"
PHOTOS, DIFFERENT, SIZE = 12_500, 500, 224  # every fifth is held out: 10,000 are read
LOADER_PHOTOS = 2_000  # enough for a rate
MODEL, WIDTH, BATCH, STEPS = "vgg_att2_concat_pc", 0.25, 128, 6


def main() -> None:
    from payattention.system.machine import chosen_device
    from payattention.system.provenance import Stopwatch

    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        os.environ[CACHE_VARIABLE] = f"{folder}/decoded"
        make_photographs(Path(folder) / "photographs")
        results = {part: measured_alone(part, folder) for part in PARTS}
    provenance = asdict(watch.provenance(chosen_device())) | {"command": "python benchmarks/data.py"}
    write_json(RESULT, {**results, "load_average_at_the_end": os.getloadavg()[0], "provenance": provenance})


def measured_alone(part: str, folder: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, part, folder], stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    print(part, result, file=sys.stderr)
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
        "feeding_percent_of_step": round(100 * feeding_seconds / stepping_seconds, 2),
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
    chosen = Subset(files, range(0, len(files), len(files) // LOADER_PHOTOS))
    loader = DataLoader(chosen, batch_size=64, num_workers=2)
    count, seconds = timed(lambda: sum(len(labels) for _, labels in loader))
    return {"images": count, "workers": 2, "seconds": seconds, "images_per_second": round(count / seconds, 1)}


def peak_mebibytes() -> int:
    """Of this process alone; `getrusage` would count the one that started it, too."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def make_photographs(folder: Path) -> None:
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_images

    random = np.random.default_rng(0)
    pictures = [Image.fromarray(picture) for picture in load_sample_images().images]
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
    for k in range(DIFFERENT):
        left, top = random.integers(0, 140), random.integers(0, 50)
        crop = pictures[k % 2].crop((left, top, left + 500, top + 375))
        crop.save(folder / "a" / f"{k:05d}.jpg", quality=90)
    for k in range(DIFFERENT, PHOTOS):
        (folder / "ab"[k % 2] / f"{k:05d}.jpg").hardlink_to(folder / "a" / f"{k % DIFFERENT:05d}.jpg")


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "cifar100": cifar100,
    "feeding": feeding,
    "photographs": photographs,
    "torchvision_loader": torchvision_loader,
}

if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
        print(json.dumps(PARTS[sys.argv[1]](Path(sys.argv[2]))))
