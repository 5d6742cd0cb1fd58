"""Measures, for docs/resuming.md, whether a training that is killed and resumed ends as if it had not been, bit by bit.

A small training is killed again and again at random moments: each is a process of its own, killed with SIGKILL at a
moment drawn evenly from the time that a whole training takes; then another process resumes it. The weights' file is
compared with an unbroken training's byte for byte, the metrics number by number. Writes results/kills.json, and exits
with 1 where one differs.

The processes are forked from one that has already imported everything (seconds of each would go to that); a training
makes a step every few milliseconds and a snapshot every second step, so that many of the kills fall within a snapshot's
writing.
"""

import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import torch
import typer

from measuring import Measurement, OutOption, say
from payattention.cli.program import run_script
from payattention.data import ImageSet
from payattention.errors import PayAttentionError
from payattention.runs.config import RunConfig
from payattention.runs.experiment import resume, train_and_test
from payattention.training.recipe import Recipe

MODEL, WIDTH, SAVE_EVERY = "vgg_att2_concat_pc", 1 / 16, 2
RECIPE = Recipe(
    summary="everything random there is",
    epochs=3,
    batch_size=8,
    lr=0.05,
    nesterov=True,
    schedule="one_cycle",
    flips="alternating",
    shift=2,
    cutout=8,
    sizes=(0.5, 1.0),
    dropout=0.5,
)


def noise() -> ImageSet:
    """64 noise images of two classes that differ in brightness."""
    labels = np.arange(64) % 2
    images = np.random.default_rng(0).integers(0, 128, (64, 32, 32, 3)) + 127 * labels[:, None, None, None]
    return ImageSet("noise", "train", images.astype(np.uint8), labels.astype(np.int64), ("dark", "bright"))


def begin(out: Path, data: ImageSet) -> None:
    train_and_test(RunConfig(MODEL, RECIPE, width=WIDTH, save_every=SAVE_EVERY), data, data, out)


def begin_or_resume(out: Path, data: ImageSet) -> None:
    if (out / "result.json").exists():
        return  # killed while it tidied up: there is nothing left to do
    if (out / "config.json").exists():
        resume(out, data, data)
    else:  # killed before there was a run
        shutil.rmtree(out, ignore_errors=True)
        begin(out, data)


def forked(work: Callable[[Path, ImageSet], None], out: Path, data: ImageSet) -> int:
    """Starts a process that does the work; its number."""
    if number := os.fork():
        return number
    status = 1
    try:
        work(out, data)
        status = 0
    except BaseException as error:
        say(f"{work.__name__}: {error!r}")
    finally:
        os._exit(status)


def whole(work: Callable[[Path, ImageSet], None], out: Path, data: ImageSet) -> float:
    """The seconds that a process takes to do the work."""
    start = time.perf_counter()
    _, status = os.waitpid(forked(work, out, data), 0)
    if status:
        raise PayAttentionError(f"{work.__name__} failed in {out}")
    return time.perf_counter() - start


def killed(out: Path, data: ImageSet, seconds: float) -> str | None:
    """Begins a training, kills it after so many seconds, and says where that was; None if it had ended by then."""
    number = forked(begin, out, data)
    time.sleep(seconds)
    os.kill(number, signal.SIGKILL)
    _, status = os.waitpid(number, 0)
    return place_of(out) if os.WIFSIGNALED(status) else None


def place_of(out: Path) -> str:
    """Where a training was killed, by what it left."""
    snapshots = out / "snapshots"
    if not (out / "config.json").exists():
        return "before the run was written down"
    if any(snapshots.glob(".*")):
        return "while a snapshot was written"
    if any(out.glob(".*")):
        return "while another file was written"
    if (out / "model.safetensors").exists():
        return "after the weights were saved"
    return "between two snapshots" if any(snapshots.glob("step-*")) else "before the first snapshot"


def outcome(out: Path) -> tuple[bytes, list[tuple[float, ...]]]:
    """The weights' file, and the metrics but for the times."""
    curve = json.loads((out / "result.json").read_text())["curve"]
    metrics = [tuple(line[name] for name in ("epoch", "step", "loss", "train_error", "lr")) for line in curve]
    return (out / "model.safetensors").read_bytes(), metrics


def main(
    kills: Annotated[int, typer.Option(min=1, help="How many trainings are killed.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of the moments at which they are.")] = 0,
    out: OutOption = None,
) -> None:
    torch.set_num_threads(1)  # and no thread is started here: a fork would lose it
    measurement, random, data = (
        Measurement("kills", out, torch.device("cpu"), seed),
        np.random.default_rng(seed),
        noise(),
    )
    places: Counter[str] = Counter()
    equal = 0
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        whole(begin, folder / "first", data)  # the first one warms the machine's caches
        seconds = whole(begin, folder / "unbroken", data)
        expected = outcome(folder / "unbroken")
        while places.total() < kills:
            run = folder / f"{places.total()}"
            place = killed(run, data, float(random.uniform(0, seconds)))
            if place is not None:
                places[place] += 1
                whole(begin_or_resume, run, data)
                equal += outcome(run) == expected
                say(f"{places.total()}/{kills} killed {place}: {equal} bit-equal")
            shutil.rmtree(run, ignore_errors=True)

    found = {"kills": places.total(), "bit_equal": equal, "killed": dict(places.most_common())}
    settings = {"model": MODEL, "width": WIDTH, "recipe": RECIPE.to_dict(), "save_every": SAVE_EVERY}
    measurement.write({**found, **settings, "seconds_of_a_training": round(seconds, 2)})
    print(json.dumps(found))
    raise typer.Exit(0 if equal == places.total() else 1)


if __name__ == "__main__":
    run_script(main)
