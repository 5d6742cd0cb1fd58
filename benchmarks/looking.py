"""Measures what it costs to look, for docs/speed.md: by the command from its start, and by `pa.explain`.

Writes results/looking.json, in about six minutes. The network is EfficientNet-Lite0 at 224 px with attention at its
last two levels, fresh weights; the pictures are cut out of photographs that scikit-image brings.

- start: `payattention maps` on one photograph, in a fresh process; beside it what Python needs to import torch, and
  torch with timm;
- folder: the same on 120 photographs, in pictures/s beyond the time of one;
- memory: the same on four photographs of 12 megapixels, the process's peak; and that of the same backbone with its own
  classifier, wrapped, which is explained by Grad-CAM;
- explain: 64 pictures as one list, beside the bare network's pass over the same pixels as one batch, single calls,
  Grad-CAM of the bare network by `pa.wrap`, and by torch-cam's extractor on the same batch.

What is compared takes turns within each round.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image
from torch import Tensor, nn

import payattention as pa
from measuring import Measurement, OutOption, RoundsOption, say
from payattention.cli.program import run_script
from payattention.errors import PayAttentionError
from payattention.speed.timing import Spread, alternated, ratios, seconds_of
from payattention.system.names import check_known

CPU = torch.device("cpu")
BACKBONE, SIZE, CLASSES = "tf_efficientnet_lite0", 224, 10
FOLDER, LIST = 120, 64
MEGAPIXELS_12 = (4000, 3000)


def photographs(count: int, size: tuple[int, int]) -> list[Image.Image]:
    """Cut out of scikit-image's, each another part, enlarged where it is too small."""
    from skimage import data

    whole = [Image.fromarray(one) for one in (data.astronaut(), data.coffee(), data.chelsea(), data.rocket())]
    found = []
    for k in range(count):
        picture = whole[k % len(whole)]
        across, down = np.random.default_rng(k).random(2) / 3
        left, top = int(across * picture.width), int(down * picture.height)
        found.append(picture.crop((left, top, left + picture.width // 2, top + picture.height // 2)).resize(size))
    return found


class Commands:
    """`payattention maps` in processes of its own, on a model's file and photographs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.model, self._runs = folder, folder / "model.safetensors", 0
        model = pa.attach(BACKBONE, CLASSES, levels=2)
        model.image_size = SIZE
        pa.save(model, self.model)

    def pictures(self, name: str, count: int, size: tuple[int, int]) -> Path:
        place = self.folder / name
        place.mkdir()
        for k, picture in enumerate(photographs(count, size)):
            picture.save(place / f"{k:03d}.jpg", quality=90)
        return place

    def maps(self, pictures: Path, model: str | None = None) -> Callable[[], int]:
        def run() -> int:
            self._runs += 1
            out = self.folder / f"out-{self._runs}"
            return _python(["-m", "payattention", "maps", model or str(self.model), str(pictures), "--out", str(out)])

        return run


def _python(words: list[str]) -> int:
    """Runs Python; how much memory the process had at most, in bytes."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise PayAttentionError(f"{' '.join(words)}: {said.read().strip().splitlines()[-1]}")
    return used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def start(commands: Commands, rounds: int) -> dict[str, Any]:
    one = commands.pictures("one", 1, (500, 375))
    actions: dict[str, Callable[[], object]] = {
        "maps of one photograph": commands.maps(one),
        "import torch": partial(_python, ["-c", "import torch"]),
        "import torch, timm": partial(_python, ["-c", "import torch, timm"]),
    }
    taken = _in_turn(actions, rounds)
    return {"seconds": {name: asdict(Spread.of(seconds, 2)) for name, seconds in taken.items()}}


def folder(commands: Commands, rounds: int) -> dict[str, Any]:
    actions: dict[str, Callable[[], object]] = {
        "one": commands.maps(commands.pictures("alone", 1, (500, 375))),
        "many": commands.maps(commands.pictures("many", FOLDER, (500, 375))),
    }
    taken = _in_turn(actions, rounds)
    beyond = [(FOLDER - 1) / (many - one) for many, one in zip(taken["many"], taken["one"], strict=True)]
    return {"pictures": FOLDER, "pictures_per_second_beyond_the_start": asdict(Spread.of(beyond, 2))}


def memory(commands: Commands, rounds: int) -> dict[str, Any]:
    pictures = commands.pictures("large", 4, MEGAPIXELS_12)
    runs = {"with attention": commands.maps(pictures), "wrapped": commands.maps(pictures, f"timm:{BACKBONE}")}
    peaks = {name: round(run() / 2**20) for name, run in runs.items()}
    return {"pictures": 4, "size": list(MEGAPIXELS_12), "peak_mib": peaks}


def explain(commands: Commands, rounds: int) -> dict[str, Any]:
    from payattention.models.timm_backbones.backbone import build_backbone

    torch.manual_seed(0)
    pictures = photographs(LIST, (SIZE, SIZE))
    pixels = torch.stack([torch.from_numpy(np.array(p)).permute(2, 0, 1) for p in pictures]) / 255
    model = pa.attach(BACKBONE, CLASSES, levels=2).eval()
    model.image_size = SIZE
    network = build_backbone(BACKBONE)
    network.reset_classifier(CLASSES)  # type: ignore[operator]
    network.eval()
    wrapped = pa.wrap(network, image_size=SIZE, classes=[f"class {k}" for k in range(CLASSES)])
    normalised = wrapped.prepared(pixels)
    actions: dict[str, Callable[[], object]] = {
        "bare network, one batch": partial(_forward, network, normalised),
        "explain, a list": partial(pa.explain, model, pictures),
        "explain, one by one": lambda: [pa.explain(model, picture) for picture in pictures],
        "explain by Grad-CAM, a list": partial(pa.explain, wrapped, pictures, method="grad_cam"),
        "torch-cam's Grad-CAM, one batch": partial(_torchcam, network, normalised),
    }
    taken = _in_turn(actions, rounds)
    return {
        "pictures": LIST,
        "pictures_per_second": {
            name: asdict(Spread.of([LIST / s for s in seconds], 1)) for name, seconds in taken.items()
        },
        "of_the_bare_network": asdict(ratios(taken["bare network, one batch"], taken["explain, a list"])),
        "times_single_calls": asdict(ratios(taken["explain, one by one"], taken["explain, a list"])),
        "times_torchcam": asdict(
            ratios(taken["torch-cam's Grad-CAM, one batch"], taken["explain by Grad-CAM, a list"])
        ),
    }


@torch.inference_mode()
def _forward(network: nn.Module, images: Tensor) -> Tensor:
    logits: Tensor = network(images)
    return logits


def _torchcam(network: nn.Module, images: Tensor) -> list[Tensor]:
    from torchcam.methods import GradCAM

    with GradCAM(network, target_layer="bn2") as extractor:  # the last layer with a grid
        logits = network(images.clone().requires_grad_(False))
        maps: list[Tensor] = extractor(logits.argmax(1).tolist(), logits)
    return maps


def _in_turn(actions: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    return alternated({name: partial(seconds_of, action, CPU) for name, action in actions.items()}, rounds)


PARTS: dict[str, Callable[[Commands, int], dict[str, Any]]] = {
    "start": start,
    "folder": folder,
    "memory": memory,
    "explain": explain,
}


def main(
    parts: Annotated[str, typer.Option(metavar="A,B,...", help="What is measured.")] = ",".join(PARTS),
    rounds: RoundsOption = 5,
    out: OutOption = None,
) -> None:
    chosen = parts.split(",")
    check_known("part", PARTS, *chosen)
    measurement, found = Measurement("looking", out, CPU, seed=0), {}
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as place:
        commands = Commands(Path(place))
        for part in chosen:
            began = time.perf_counter()
            found[part] = PARTS[part](commands, rounds)
            say(f"{part}, {time.perf_counter() - began:.0f} s: {found[part]}")
    measurement.write({"backbone": BACKBONE, "size": SIZE, "rounds": rounds, **found})


if __name__ == "__main__":
    run_script(main)
