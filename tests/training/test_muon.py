"""Muon against the singular value decomposition, and what it leaves alone against PyTorch's SGD."""

import copy

import pytest
import torch
from torch import Tensor, nn

import payattention as pa
from payattention.training.muon import Muon, orthogonalised
from payattention.training.optimisation import create_optimizer
from payattention.training.recipe import load_recipe


def polynomial(values: Tensor, steps: int) -> Tensor:
    for _ in range(steps):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return values


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 5), (1, 7)])
@pytest.mark.parametrize("steps", [1, 3])
def test_the_iteration_is_a_polynomial_of_the_singular_values(shape: tuple[int, int], steps: int) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    expected = u @ torch.diag(polynomial(s / matrix.norm(), steps)) @ v
    torch.testing.assert_close(orthogonalised(matrix, steps), expected)


def test_singular_values_come_close_to_one() -> None:
    values = polynomial(torch.linspace(0.02, 1, 10_000), 3)
    assert values.min() > 0.68
    assert values.max() < 1.21


def test_a_step_turns_filters_by_its_length_and_keeps_theirs() -> None:
    filters = nn.Parameter(torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(1)))
    before = filters.detach().clone()
    optimizer = Muon([{"params": [filters], "filters": True, "momentum": 0.0}], lr=0.05)
    filters.grad = torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(2))
    turn = orthogonalised(filters.grad.flatten(1)).view_as(filters)
    optimizer.step()
    torch.testing.assert_close(filters.norm(), before.norm())
    moved = before - 0.05 * before.norm() * turn / turn.norm()
    torch.testing.assert_close(filters.detach(), moved * before.norm() / moved.norm())


def test_filters_without_a_gradient_or_with_a_zero_one_stay() -> None:
    filters = [nn.Parameter(torch.ones(2, 1, 1, 1)) for _ in range(2)]
    optimizer = Muon([{"params": filters, "filters": True}], lr=0.1)
    filters[1].grad = torch.zeros(2, 1, 1, 1)
    optimizer.step()
    for bank in filters:
        torch.testing.assert_close(bank.detach(), torch.ones(2, 1, 1, 1))


def test_all_but_the_filters_are_trained_as_by_sgd() -> None:
    model = pa.create_model("vgg_att2_concat_dp", 3, width=0.0625)
    other = copy.deepcopy(model)
    recipe = load_recipe("modern")
    ours, sgd = create_optimizer(model, recipe), create_optimizer(other, load_recipe("modern", {"optimizer": "sgd"}))
    for step in range(3):
        random = torch.Generator().manual_seed(step)
        for p, q in zip(model.parameters(), other.parameters(), strict=True):
            p.grad = torch.randn(p.shape, generator=random)
            q.grad = p.grad.clone()
        ours.step()
        sgd.step()
    turned = 0
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        if p.ndim == 4 and len(p) > 1:
            assert not torch.allclose(p, q)
            turned += 1
        else:
            assert torch.equal(p, q)
    assert turned == 15  # the VGG's convolutions


def test_the_state_of_the_optimizer_goes_on_exactly() -> None:
    def stepped(model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
        for p in model.parameters():
            p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(step))
        optimizer.step()

    recipe = load_recipe("modern")
    model = pa.create_model("vgg", 3, width=0.0625)
    optimizer = create_optimizer(model, recipe)
    stepped(model, optimizer, 0)
    twin = copy.deepcopy(model)
    restored = create_optimizer(twin, recipe)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    stepped(model, optimizer, 1)
    stepped(twin, restored, 1)
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(p, q)
