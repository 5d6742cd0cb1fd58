"""Measures attention on a frozen backbone, from one command to the evaluated model and its masks, for docs/probe.md.

Writes results/caltech_probe.json (with another seed than 0: caltech_probe-seedN.json). It needs PAYATTENTION_DATA with
`caltech101-30perclass.zip` and `oxford-iiit-pet-3breeds.zip`, and the extra `imagenet`. The trained models stay in
`runs/caltech-NAME-seedN`, and what was there before goes.

1. Caltech-101, 30 pictures of each of its 101 classes: 15 to train, 15 to test, as `--data caltech101` draws them.
   The time is that of the whole command `payattention train`, from the start of the program to its result.

2. The model has never seen the Oxford pets' pictures, nor a mask of anything. Each picture is explained as
   `payattention maps` does it; the mask (Otsu's threshold on the combined map) is compared with the annotators' (object
   and border together), mean Jaccard index over pictures of the set's `test.txt`.
"""

import json
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from PIL import Image

import payattention as pa
from payattention.cli.program import run_script
from payattention.errors import PayAttentionError, UsageError
from payattention.evaluation.comparison.trivial import centred_gaussian
from payattention.evaluation.metrics import jaccard, otsu_masks
from payattention.system.files import write_json
from payattention.system.names import check_known
from payattention.system.provenance import Stopwatch
from payattention.system.reporting import per_cent
from trained import RESULTS, RUNS, ResultsOption, archive, caltech101

OPTIONS = [
    "--model",
    "timm:tf_efficientnet_lite0",
    "--pretrained",
    "--freeze",
    "--crop-mode",
    "squash",
    "--set",
    "deepest=final",
    "--set",
    "prior=none",
    "--set",
    "scaled=false",
]
"""Without the recipe's prior, which came later (docs/backbone-training.md): so the published runs were trained."""
VARIANTS = {
    "pc": ["compatibility=pc", "normaliser=sigmoid"],
    "additive": ["compatibility=additive", "normaliser=sigmoid"],
    "dp": ["compatibility=dp", "normaliser=sigmoid"],
    "pc, softmax": ["compatibility=pc"],
}
"""Options of the network by what the table calls them; the rest is as the recipe `probe` has it."""
_Mask = NDArray[np.bool_]


def train(root: Path, out: Path, options: Sequence[str], seed: int) -> dict[str, Any]:
    """Runs the command as a user does; its result, with the wall time of the whole program."""
    arguments = ["train", *OPTIONS, *options, "--data", "caltech101", "--data-root", str(root)]
    arguments += ["--seed", str(seed), "--out", str(out), "--json"]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "payattention", *arguments], stdout=subprocess.PIPE, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise PayAttentionError("payattention train failed; its own message stands above")
    result: dict[str, Any] = json.loads(done.stdout)
    shown = [part.replace(str(root), "FOLDER").replace(str(out), f"runs/{out.name}") for part in arguments]
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


def mean_jaccard(mask_of: Callable[[Image.Image], _Mask], pictures: list[tuple[Image.Image, _Mask]]) -> float:
    """Mean Jaccard index over pictures, in per cent."""
    pairs = [(torch.from_numpy(mask_of(picture))[None], torch.from_numpy(truth)[None]) for picture, truth in pictures]
    return per_cent(np.mean([jaccard(*pair).item() for pair in pairs]), 2)


def mask_by(model: pa.Classifier, picture: Image.Image) -> _Mask:
    return pa.explain(model, picture).mask


def whole(picture: Image.Image) -> _Mask:
    return np.ones((picture.height, picture.width), np.bool_)


def centred(picture: Image.Image) -> _Mask:
    """Otsu's mask of a Gaussian about the centre."""
    return otsu_masks(centred_gaussian(1, picture.height, picture.width))[0].numpy()


def _sets(options: Sequence[str]) -> list[str]:
    return [part for option in options for part in ("--set", option)]


def measured(
    seed: int, names: Sequence[str], before: dict[str, Any], runs: Path, limit: int | None
) -> Iterator[dict[str, Any]]:
    """The result so far, after each way to set it up: minutes of work are not lost to a stop."""
    pictures = pets(archive("oxford-iiit-pet-3breeds.zip"), "test")[:limit]
    models = {**before}
    baselines = {"whole picture": mean_jaccard(whole, pictures), "centred Gaussian": mean_jaccard(centred, pictures)}
    pets_seen = {"pictures": len(pictures), "baselines_mean_jaccard": baselines}
    with caltech101() as root:
        for name in names:
            out = runs / f"caltech-{name.replace(', ', '-')}-seed{seed}"
            shutil.rmtree(out, ignore_errors=True)
            watch = Stopwatch()
            limits = [] if limit is None else ["--limit", str(limit)]
            result = train(root, out, [*_sets(VARIANTS[name]), *limits], seed)
            row = {
                "caltech101": {
                    "test_images": result["test"]["count"],
                    "accuracy": round(100 - result["test"]["error"], 3),
                },
                "seconds_of_the_whole_command": result["seconds_of_the_whole_command"],
                "command": result["command"],
                "pets_mean_jaccard": mean_jaccard(partial(mask_by, pa.load(out)), pictures),
            }
            models[name] = {**row, "provenance": asdict(watch.provenance(torch.device("cpu"), seed))}
            typer.echo(f"{name} {json.dumps(row)}", err=True)
            yield {"models": models, "pets": pets_seen}


def main(
    seed: Annotated[int, typer.Option(min=0, help="Of weights and order.")] = 0,
    only: Annotated[
        str | None,
        typer.Option(metavar="|".join(VARIANTS), help="Measure this row of the table again.", show_default=False),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many pictures of each split.", show_default=False)
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder for the trained models.", show_default="runs")] = RUNS,
    results: ResultsOption = RESULTS,
) -> None:
    check_known("attention", VARIANTS, *filter(None, [only]))
    file = results / ("caltech_probe.json" if seed == 0 else f"caltech_probe-seed{seed}.json")
    before: dict[str, Any] = {}
    if only is not None:
        if not file.is_file():
            raise UsageError(f"--only {only}: there is no table yet that it is a row of ({file})")
        before = json.loads(file.read_text(encoding="utf-8"))["models"]
    for result in measured(seed, list(VARIANTS) if only is None else [only], before, runs, limit):
        write_json(file, result)


if __name__ == "__main__":
    run_script(main)
