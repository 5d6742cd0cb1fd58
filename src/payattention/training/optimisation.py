"""Optimizer and learning rate of a recipe."""

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from payattention.errors import unknown
from payattention.training.recipe import Recipe


def create_optimizer(model: nn.Module, recipe: Recipe) -> Optimizer:
    """SGD as the recipe has it; norms and biases (all vectors) decay only if the recipe says so."""
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim > 1]
    vectors = [p for p in trained if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": recipe.weight_decay if recipe.decay_all else 0.0},
    ]
    return torch.optim.SGD(
        groups,
        lr=recipe.lr,
        momentum=recipe.momentum,
        dampening=recipe.dampening,
        nesterov=recipe.nesterov,
    )


def create_schedule(optimizer: Optimizer, recipe: Recipe, steps_per_epoch: int) -> LambdaLR:
    """The learning rate's factor, step by step."""
    total = recipe.epochs * steps_per_epoch

    def steps(step: int) -> float:
        return recipe.step_factor ** (step // steps_per_epoch // recipe.step_epochs)

    def one_cycle(step: int) -> float:
        share = (step + 1) / (total + 1)
        rising = share / recipe.warmup if recipe.warmup else 1.0
        return min(rising, (1 - share) / (1 - recipe.warmup))

    shapes = {"steps": steps, "one_cycle": one_cycle}
    if recipe.schedule not in shapes:
        raise unknown("schedule", recipe.schedule, shapes)
    return LambdaLR(optimizer, shapes[recipe.schedule])
