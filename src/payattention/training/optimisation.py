"""Optimizer and learning rate of a recipe."""

from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from payattention.errors import UsageError
from payattention.models.attentive import Trunk
from payattention.models.timm_backbones.trunk import TimmTrunk
from payattention.system.names import Registry
from payattention.training.muon import Muon
from payattention.training.recipe import Recipe


def create_optimizer(model: nn.Module, recipe: Recipe) -> Optimizer:
    """SGD, AdamW or Muon as the recipe has it; norms and biases (all vectors) decay only if the recipe says so.

    Raises:
        UsageError: An unknown optimizer, or layer decay where there is no trunk.
    """
    optimizers = Registry("optimizer", {"sgd": _sgd, "adamw": _adamw, "muon": _muon})
    groups = _groups(model.parameters(), recipe) if recipe.layer_decay == 1 else _layered(model, recipe)
    return optimizers[recipe.optimizer](_with_bias_rate(groups, model, recipe), recipe)


def _sgd(groups: list[dict[str, Any]], recipe: Recipe) -> Optimizer:
    return torch.optim.SGD(
        groups,
        lr=recipe.lr,
        momentum=recipe.momentum,
        dampening=recipe.dampening,
        nesterov=recipe.nesterov,
    )


def _adamw(groups: list[dict[str, Any]], recipe: Recipe) -> Optimizer:
    return torch.optim.AdamW(groups, lr=recipe.lr)


def _muon(groups: list[dict[str, Any]], recipe: Recipe) -> Optimizer:
    """The filters of the convolutions are taken out of their groups; what has one output (the u of a map) is none."""
    filters = [p for group in groups for p in group["params"] if p.ndim == 4 and len(p) > 1]
    turned = {id(p) for p in filters}
    rest = [{**group, "params": [p for p in group["params"] if id(p) not in turned]} for group in groups]
    banks = {"params": filters, "filters": True, "lr": recipe.filter_lr, "momentum": recipe.filter_momentum}
    return Muon([*rest, banks], lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov)


def _groups(parameters: Iterable[nn.Parameter], recipe: Recipe) -> list[dict[str, Any]]:
    trained = [p for p in parameters if p.requires_grad]
    matrices = [p for p in trained if p.ndim > 1]
    vectors = [p for p in trained if p.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": recipe.weight_decay if recipe.decay_all else 0.0},
    ]


def _with_bias_rate(groups: list[dict[str, Any]], model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Takes the batch norms' biases out of their groups, to a multiple of its rate; a step's decay stays the same."""
    if recipe.bias_factor == 1:
        return groups
    biases = {id(module.bias) for module in model.modules() if isinstance(module, _BatchNorm)}
    split = []
    for group in groups:
        rate, decay = group.get("lr", recipe.lr) * recipe.bias_factor, group["weight_decay"] / recipe.bias_factor
        apart = [p for p in group["params"] if id(p) in biases]
        split.append({**group, "params": [p for p in group["params"] if id(p) not in biases]})
        split.append({**group, "params": apart, "lr": rate, "weight_decay": decay})
    return split


def _layered(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """The trunk's layers in groups, each at its own rate, the last and what is not the trunk's at the full one."""
    trunk = next((m for m in model.modules() if isinstance(m, Trunk)), None)
    if trunk is None or not (isinstance(trunk, TimmTrunk) or trunk.layer_groups()):
        raise UsageError("layer_decay is for a network with a trunk of several groups of layers; leave it at 1")
    groups = _timm_groups(trunk.backbone, recipe) if isinstance(trunk, TimmTrunk) else _trunk_groups(trunk, recipe)
    placed = {id(p) for group in groups for p in group["params"]}
    return groups + _groups((p for p in model.parameters() if id(p) not in placed), recipe)


def _timm_groups(backbone: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    from timm.optim import param_groups_layer_decay  # type: ignore[attr-defined]

    groups = param_groups_layer_decay(
        backbone,
        recipe.weight_decay,
        layer_decay=recipe.layer_decay,
        weight_decay_exclude_1d=not recipe.decay_all,
    )
    return [{**group, "lr": recipe.lr * group["lr_scale"]} for group in groups]


def _trunk_groups(trunk: Trunk, recipe: Recipe) -> list[dict[str, Any]]:
    groups = []
    for distance, layers in enumerate(reversed(trunk.layer_groups())):
        parameters = (p for layer in layers for p in layer.parameters())
        rate = recipe.lr * recipe.layer_decay**distance
        groups += [{**group, "lr": rate} for group in _groups(parameters, recipe)]
    return groups


def rate_of(optimizer: Optimizer) -> float:
    """The rate at this step of what learns at the recipe's own: the layers before have less, Muon's filters another."""
    groups, full = optimizer.param_groups, optimizer.defaults["lr"]
    rate: float = next(group["lr"] for group in groups if group["initial_lr"] == full)
    return rate


def create_schedule(optimizer: Optimizer, recipe: Recipe, steps_per_epoch: int) -> "Schedule":
    """The learning rate's factor, step by step."""
    total = recipe.epochs * steps_per_epoch
    changes = {epoch * steps_per_epoch: factor for epoch, factor in _changes(recipe)}

    def staircase(step: int) -> float:
        return prod(factor for start, factor in changes.items() if start <= step)

    def one_cycle(step: int) -> float:
        share = (step + 1) / (total + 1)
        rising = share / recipe.warmup if recipe.warmup else 1.0
        return min(rising, (1 - share) / (1 - recipe.warmup))

    shape = one_cycle if recipe.schedule == "one_cycle" else staircase
    resets = list(changes) if recipe.momentum_reset else []
    return Schedule(optimizer, lambda step: shape(step) / (1 + step * recipe.lr_decay), resets)


def _changes(recipe: Recipe) -> Sequence[tuple[int, float]]:
    """Numbers of epochs and the factor on the rate once they are over."""
    if recipe.schedule != "steps":
        return ()
    equal = range(recipe.step_epochs, recipe.epochs + 1, recipe.step_epochs)  # the last, too: more may follow
    return recipe.milestones or [(epoch, recipe.step_factor) for epoch in equal]


class Schedule(LambdaLR):
    """The rate by a function of the step, and at some steps momentum starts anew."""

    def __init__(self, optimizer: Optimizer, factor: Callable[[int], float], resets: list[int]) -> None:
        self.resets = resets  # before LambdaLR, which makes the step to 0 itself
        super().__init__(optimizer, factor)

    def step(self, epoch: int | None = None) -> None:
        super().step(epoch)
        if self.last_epoch in self.resets:
            self.optimizer.state.clear()
