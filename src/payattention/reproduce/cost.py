"""What a job is expected to cost: floating-point operations, counted on the network, by a rate of the machine's.

An estimate that orders a queue and warns of a week, no measurement: `payattention benchmark` measures.
"""

from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from payattention.data import CATALOGUE
from payattention.models import create_model
from payattention.reproduce.jobs import Job, Measurement, Training
from payattention.training.recipe import load_recipe

CPU_RATE = 5e10
"""Operations a second and thread, float32: results/cifar10.json's last epoch made 1.1e11 on two."""
GPU_RATE = 1e14
"""Operations a second on a data-centre GPU in bf16: assumed, about a tenth of its peak."""
_STEP = 3  # forward passes that a training step costs: forward, and twice that backward
_START = 15.0  # seconds until a command is at work


@cache
def hours(job: Job, device: torch.device) -> float:
    """Expected wall time of a job alone on this machine."""
    rate = GPU_RATE if device.type == "cuda" else CPU_RATE * torch.get_num_threads()
    return (operations(job) / rate + _START) / 3600


def operations(job: Job) -> float:
    """Floating-point operations: two for each multiply-add of the network's layers, over all images and epochs."""
    return _trained(job) if isinstance(job, Training) else _measured(job)


def _trained(job: Training) -> float:
    recipe = load_recipe(job.recipe, dict(job.recipe_set))
    images = CATALOGUE[job.data].counts["train"] * (job.epochs or recipe.epochs)
    share = sum(size**2 for size in recipe.sizes) / len(recipe.sizes)  # epochs on smaller pictures
    return _STEP * images * share * _forward(job.model, job.width, job.options, job.data)


def _measured(job: Measurement) -> float:
    counts = CATALOGUE[job.data].counts
    images = counts.get(job.split or "test", sum(counts.values()))
    return job.passes * images * _forward(job.of.model, job.of.width, job.of.options, job.of.data)


@cache
def _forward(model: str, width: float, options: tuple[tuple[str, object], ...], data: str) -> int:
    """Of one image of a data set's size, counted on a network without weights."""
    facts = CATALOGUE[data]
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        create_model(model, facts.classes, width, **dict(options)).eval()(torch.empty(1, 3, facts.size, facts.size))
    return int(counter.get_total_flops())
