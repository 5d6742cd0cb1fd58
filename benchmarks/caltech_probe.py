"""Real photographs on a laptop: attention on a frozen backbone, from one command to the evaluated model, and its masks.

`python benchmarks/caltech_probe.py [--seed N]` writes results/caltech_probe.json. It needs PAYATTENTION_DATA with
`caltech101-30perclass.zip` and `oxford-iiit-pet-3breeds.zip`, and the extra `imagenet`.

1. Caltech-101, 30 pictures of each of its 101 classes: the first 15 in order of name to train, the last 15 to test.
   The time is that of the whole command `payattention train`, from the start of the program to its result.
2. The model has never seen the Oxford pets' pictures, nor a mask of anything. Each picture is explained as
   `payattention maps` does it; the mask (Otsu's threshold on the combined map) is compared with the annotators' (object
   and border together), mean Jaccard index over pictures. All choices were made on the set's `trainval.txt`; reported
   is `test.txt`.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import payattention as pa
from payattention.evaluation.provenance import Stopwatch
from payattention.files import write_json
from payattention.maps import otsu_mask

RESULTS = Path(__file__).parent.parent / "results"
OPTIONS = ("--model", "timm:tf_efficientnet_lite0", "--pretrained", "--freeze")
COMPATIBILITIES = ("pc", "additive", "dp")
_Mask = NDArray[np.bool_]


def unpack_caltech(archive: Path, folder: Path) -> None:
    """Writes `folder/train/CLASS/*` and `folder/test/CLASS/*`: the first and the last 15 pictures of each class."""
    with zipfile.ZipFile(archive) as zipped:
        names = sorted(name for name in zipped.namelist() if name.endswith(".jpg"))
        for label, members in groupby(names, lambda name: name.split("/")[1]):
            for number, name in enumerate(members):
                target = folder / ("train" if number < 15 else "test") / label / Path(name).name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(zipped.read(name))


def train(data: Path, out: Path, compatibility: str, seed: int) -> dict[str, Any]:
    """Runs the command as a user does; its result, with the wall time of the whole program."""
    arguments = ["train", *OPTIONS, "--set", f"compatibility={compatibility}", "--data", f"folder:{data}"]
    arguments += ["--seed", str(seed), "--out", str(out), "--json"]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "payattention", *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    seconds = time.perf_counter() - start
    result: dict[str, Any] = json.loads(done.stdout)
    shown = [part.replace(str(data), "CALTECH").replace(str(out), "RUN") for part in arguments]
    return {**result, "command": " ".join(["payattention", *shown]), "seconds_of_the_whole_command": round(seconds, 1)}


def pets(archive: Path, part: str) -> list[tuple[Image.Image, _Mask]]:
    """Pictures of `trainval` or `test`, with the annotators' masks: object or border."""
    root = "oxford-iiit-pet"
    with zipfile.ZipFile(archive) as zipped:
        lines = zipped.read(f"{root}/annotations/{part}.txt").decode().splitlines()
        found = []
        for name in (line.split()[0] for line in lines):
            with zipped.open(f"{root}/images/{name}.jpg") as file:
                picture = Image.open(file).convert("RGB")
            with zipped.open(f"{root}/annotations/trimaps/{name}.png") as file:
                found.append((picture, np.asarray(Image.open(file)) != 2))
        return found


def jaccard(mask: _Mask, truth: _Mask) -> float:
    """Intersection over union of two masks, not both empty."""
    return float((mask & truth).sum() / (mask | truth).sum())


def mean_jaccard(mask_of: Callable[[Image.Image], _Mask], pictures: list[tuple[Image.Image, _Mask]]) -> float:
    """Mean Jaccard index over pictures, in per cent."""
    return round(100 * float(np.mean([jaccard(mask_of(picture), truth) for picture, truth in pictures])), 2)


def mask_by(model: pa.Classifier, picture: Image.Image) -> _Mask:
    return pa.explain(model, picture).mask


def whole(picture: Image.Image) -> _Mask:
    return np.ones((picture.height, picture.width), np.bool_)


def centred(picture: Image.Image) -> _Mask:
    """Otsu's mask of a Gaussian about the centre, its deviation a quarter of each side."""
    rows, columns = (torch.linspace(-2, 2, 2 * side + 1)[1::2] for side in (picture.height, picture.width))
    return otsu_mask(torch.exp(-(rows[:, None] ** 2 + columns**2) / 2)).numpy()


def main(seed: int) -> None:
    data, watch = Path(os.environ["PAYATTENTION_DATA"]), Stopwatch()
    pictures = pets(data / "oxford-iiit-pet-3breeds.zip", "test")
    models = {}
    with tempfile.TemporaryDirectory() as folder:
        unpack_caltech(data / "caltech101-30perclass.zip", Path(folder, "caltech"))
        for compatibility in COMPATIBILITIES:
            out = Path(folder, compatibility)
            result = train(Path(folder, "caltech"), out, compatibility, seed)
            models[compatibility] = {
                "caltech101": {"test_images": result["test"]["count"], "accuracy": 100 - result["test"]["error"]},
                "seconds_of_the_whole_command": result["seconds_of_the_whole_command"],
                "command": result["command"],
            }
            mask_of = partial(mask_by, pa.load(out))
            models[compatibility]["pets_mean_jaccard"] = mean_jaccard(mask_of, pictures)
            print(compatibility, json.dumps(models[compatibility]), file=sys.stderr)
    provenance = asdict(watch.provenance(torch.device("cpu"), seed))
    provenance["command"] = f"python benchmarks/caltech_probe.py --seed {seed}"
    name = "caltech_probe.json" if seed == 0 else f"caltech_probe-seed{seed}.json"
    baselines = {"whole picture": mean_jaccard(whole, pictures), "centred Gaussian": mean_jaccard(centred, pictures)}
    result = {"models": models, "pets": {"pictures": len(pictures), "baselines_mean_jaccard": baselines}}
    write_json(RESULTS / name, {**result, "provenance": provenance})


if __name__ == "__main__":
    main(int(sys.argv[sys.argv.index("--seed") + 1]) if "--seed" in sys.argv else 0)
