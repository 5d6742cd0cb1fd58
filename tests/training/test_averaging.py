"""Averaged weights against PyTorch's own averaging, and batch norms that fit them."""

from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

from payattention.data import ImageSet
from payattention.models.evaluating import evaluating
from payattention.training.callbacks.averaging import Averaging, settle
from payattention.training.fit import fit, new_model
from payattention.training.loop import Run, Step
from payattention.training.recipe import Recipe

RUN, STEP = Mock(spec=Run), Mock(spec=Step)


def steps(model: nn.Module, averaging: Averaging, count: int) -> list[Tensor]:
    """A model's weights after each of some random steps, which the averaging follows."""
    averaging.on_start(RUN)
    seen = []
    for _ in range(count):
        for p in model.parameters():
            p.data += torch.randn_like(p)
        averaging.on_batch_end(RUN, STEP)
        seen.append(model.weight.detach().clone())
    return seen


@pytest.mark.parametrize("share", [0.1, 0.3, 1.0])
def test_the_mean_is_that_of_pytorchs_averaged_model(share: float) -> None:
    model = nn.Linear(3, 2).double()
    theirs = AveragedModel(model, avg_fn=lambda mean, p, count: mean + (p - mean) / max(1.0, share * (int(count) + 1)))
    averaging = Averaging(model, share)
    averaging.on_start(RUN)
    for _ in range(50):
        for p in model.parameters():
            p.data += torch.randn_like(p)
        averaging.on_batch_end(RUN, STEP)
        theirs.update_parameters(model)
    averaging.take_over()
    for ours, expected in zip(model.parameters(), theirs.module.parameters(), strict=True):
        torch.testing.assert_close(ours, expected)


def test_a_share_of_one_is_the_plain_mean() -> None:
    model = nn.Linear(3, 2).double()
    averaging = Averaging(model, 1.0)
    seen = steps(model, averaging, 20)
    torch.testing.assert_close(averaging.mean["weight"], torch.stack(seen).mean(0))


def test_a_share_forgets_the_beginning_as_a_power_of_time() -> None:
    """At 0.1 the weights of step i count as i^9, give or take what the first steps round."""
    model = nn.Linear(3, 2, bias=False).double()
    averaging = Averaging(model, 0.1)
    seen = torch.stack(steps(model, averaging, 400))
    counts = torch.arange(1, 401, dtype=torch.float64) ** 9
    expected = (seen * (counts / counts.sum())[:, None, None]).sum(0)
    spread = (seen[-40:] - seen[-1]).abs().mean()
    assert (averaging.mean["weight"] - expected).abs().max() < 0.05 * spread


class Frozen(nn.Module):
    """A trained batch norm behind a frozen one."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.BatchNorm2d(3).requires_grad_(False)
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=0.3), nn.Dropout(0.5), nn.ReLU())
        self.frozen.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.frozen(x))


@pytest.mark.float32
def test_batch_norms_settle_as_pytorch_updates_them() -> None:
    batches = [torch.rand(8, 3, 6, 6) for _ in range(5)]
    ours = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
    ours(batches[0])
    ours.append(nn.BatchNorm1d(2))
    theirs = AveragedModel(ours).module
    settle(ours.train(), batches)
    update_bn(batches, theirs)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, msg=name)
    assert ours.training


def test_what_is_frozen_stays_and_modes_and_momenta_return() -> None:
    model = Frozen()
    model.frozen.running_mean.fill_(0.5)
    before = torch.get_rng_state()
    settle(model, [torch.rand(8, 3, 6, 6) for _ in range(3)])
    assert (torch.get_rng_state() != before).any()  # by the pictures; dropout, below, draws nothing
    assert (model.frozen.running_mean == 0.5).all()
    assert model.body[1].num_batches_tracked == 3
    assert model.body[1].momentum == 0.3
    assert [m.training for m in (model.frozen, model.body[1], model.body[2])] == [False, True, True]
    with evaluating(model):
        state = torch.get_rng_state()
        model(torch.zeros(2, 3, 6, 6))
        assert (torch.get_rng_state() == state).all()
        assert not model.body[2].training
    assert model.body[2].training
    assert not model.frozen.training


@pytest.mark.float32
def test_averaging_changes_the_result_and_not_the_way_to_it(image_set: ImageSet, tmp_path: Path) -> None:
    plain = Recipe("test", 2, 8, lr=0.05, shift=1, cutout=4)
    curves, models = [], []
    for share in (0.0, 0.5):
        recipe = Recipe(**(plain.to_dict() | {"averaging": share}))
        model = new_model("vgg_att2_concat_pc", image_set, recipe, width=0.0625)
        curve = fit(model, image_set, recipe, out=tmp_path / str(share))
        curves.append([(line["loss"], line["train_error"]) for line in curve])
        models.append(model)
    assert curves[0] == curves[1]
    last, mean = (model.state_dict() for model in models)
    assert not torch.equal(last["trunk.layers.conv1.conv.weight"], mean["trunk.layers.conv1.conv.weight"])

    # the first norm's statistics are those of the pictures as they are, under the mean weights: 4 batches of 8
    model = models[1]
    pixels = torch.from_numpy(image_set.images).permute(0, 3, 1, 2) / 255
    before = model.trunk.layers["conv1"].conv(model.prepared(pixels))
    norm = model.trunk.layers["conv1"].norm
    torch.testing.assert_close(norm.running_mean, before.mean((0, 2, 3)).detach(), rtol=1e-4, atol=1e-5)
    assert norm.num_batches_tracked == 4
    assert norm.momentum == 0.1
