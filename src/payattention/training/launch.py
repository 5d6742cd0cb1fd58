"""Devices, processes and precision of a training, by Lightning Fabric."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.fabric.plugins.precision import Precision
from lightning.fabric.strategies.ddp import DDPStrategy

from payattention.system import machine
from payattention.system.processes import Processes


def launched(
    device: torch.device, precision: machine.Precision, processes: Processes, *, unused_parameters: bool = False
) -> Fabric:
    """A Fabric whose processes have found each other; who started it destroys their group in the end.

    Args:
        device: Of each process.
        precision: Of the network's arithmetic; its weights are float32.
        processes: Those that train together, as they were started.
        unused_parameters: Whether the network may have weights without a gradient, which several processes must know.
    """
    with _unannounced(), _answers_kept_apart() if processes.count > 1 else nullcontext():
        fabric = Fabric(
            accelerator=device.type,
            devices=processes.on_each_node,
            num_nodes=processes.nodes,
            strategy="auto" if processes.count == 1 else DDPStrategy(find_unused_parameters=unused_parameters),
            plugins=[_environment(processes), _Mixed(device) if precision == "bf16" else Precision()],
        )
        fabric.launch()
    return fabric


def _environment(processes: Processes) -> ClusterEnvironment:
    """Who started the processes, told to Lightning rather than guessed by it."""
    match processes.launcher:
        case "torchrun" if processes.count > 1:
            return TorchElasticEnvironment()
        case "slurm":
            return SLURMEnvironment(auto_requeue=False)  # its way to requeue would write pickles
    return LightningEnvironment()


class _Mixed(Precision):
    """Autocast to bf16, without keeping the rounded weights: the gradients of one that is used twice add up in float32.

    Fabric's own would round the pictures, too.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def forward_context(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False)


@contextmanager
def _unannounced() -> Iterator[None]:
    """Lightning prints the processes' numbers, by loggers of both its halves, and advice on a GPU's arithmetic."""
    loggers = [logging.getLogger(name) for name in ("lightning.fabric", "lightning.pytorch")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _answers_kept_apart() -> Iterator[None]:
    """PyTorch 2.9's gloo tells who it found on standard output, which is for answers: here it is standard error."""
    sys.stdout.flush()
    answers = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(answers, 1)
        os.close(answers)
