"""The command lines that run a job, without the program's name."""

import json
from pathlib import Path

from payattention.reproduce.jobs import Job, Measurement, Training
from payattention.system.machine import chosen_options

_BEGUN = ("config.json", "start.safetensors")  # in the folder of a training that was stopped


def command(job: Job, runs: Path) -> list[str]:
    """What runs a job from its start, its run folder below `runs`, on what was chosen; it prints one JSON object."""
    own = _train(job, runs) if isinstance(job, Training) else _measure(job, runs)
    return [*own, *chosen_options("device", "precision", "threads"), "--json"]


def resumption(job: Job, runs: Path) -> list[str] | None:
    """What goes on with a training that was stopped; None for what must start, or start again."""
    folder = runs / job.name
    begun = isinstance(job, Training) and all((folder / file).is_file() for file in _BEGUN)
    words = ["train", "--resume", str(folder), *chosen_options("device", "threads"), "--json"]
    return words if begun else None


def _train(job: Training, runs: Path) -> list[str]:
    words = ["train", "--model", job.model, "--data", job.read_as or job.data, "--recipe", job.recipe]
    words += ["--width", f"{job.width:g}"] if job.width != 1 else []
    words += ["--epochs", str(job.epochs)] if job.epochs else []
    for name, value in job.options:
        words += ["--set", f"{name}={_text(value)}"]
    for name, value in job.recipe_set:
        words += ["--recipe-set", f"{name}={_text(value)}"]
    words += ["--init-from", str(runs / job.init_from.name)] if job.init_from else []
    return [*words, "--seed", str(job.seed), "--out", str(runs / job.name)]


def _measure(job: Measurement, runs: Path) -> list[str]:
    words = [job.verb, str(runs / job.of.name), "--data", job.read_as or job.data]
    words += ["--split", job.split] if job.split else []
    return [*words, *(word.replace("{out}", str(runs / job.name)) for word in job.arguments)]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
