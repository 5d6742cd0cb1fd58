"""The loop: what a step is, when callbacks are called, and what is left to Fabric."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from payattention.data import ImageSet
from payattention.system.processes import ALONE
from payattention.training.batches import DeviceSet
from payattention.training.launch import launched
from payattention.training.loop import BEGINNING, Callback, Position, Run, Step, train
from payattention.training.recipe import Recipe

CPU = torch.device("cpu")
RECIPE = Recipe(summary="test", epochs=2, batch_size=16, lr=0.1, schedule="steps", step_epochs=1, step_factor=0.5)


class Network(nn.Module):
    """Logits of two classes by mean colour; notes in which arithmetic it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layer(images.mean((2, 3)))
        self.seen = {"images": images.dtype, "logits": logits.dtype, "training": self.training}
        return logits


def run_of(
    image_set: ImageSet, *callbacks: Callback, start: Position = BEGINNING, network: nn.Module | None = None
) -> Run:
    fabric, data = launched(CPU, "float32", ALONE), DeviceSet.of(image_set, CPU)
    return Run(fabric, ALONE, network or Network(), data, RECIPE, 3, callbacks, start)


class Noting(Callback):
    """Notes its calls, and where the run stands at each."""

    def __init__(self, name: str, calls: list[Any], fail_at: str = "") -> None:
        self.name, self.calls, self.fail_at = name, calls, fail_at

    def _note(self, what: str, run: Run) -> None:
        self.calls.append((self.name, what, run.epoch, run.batch, run.step))
        if what == self.fail_at:
            raise KeyboardInterrupt

    def on_start(self, run: Run) -> None:
        self._note("start", run)

    def on_epoch_start(self, run: Run) -> None:
        self._note("epoch start", run)

    def on_batch_end(self, run: Run, step: Step) -> None:
        self._note("batch end", run)

    def on_epoch_end(self, run: Run) -> None:
        self._note("epoch end", run)

    def on_end(self, run: Run) -> None:
        self._note("end", run)


def test_callbacks_are_called_in_their_order_and_the_run_stands_where_it_says(image_set: ImageSet) -> None:
    calls: list[Any] = []
    train(run_of(image_set, Noting("a", calls), Noting("b", calls)))
    moments = [
        ("start", 0, 0, 0),
        ("epoch start", 0, 0, 0), ("batch end", 0, 1, 1), ("batch end", 0, 2, 2), ("epoch end", 0, 2, 2),
        ("epoch start", 1, 0, 2), ("batch end", 1, 1, 3), ("batch end", 1, 2, 4), ("epoch end", 1, 2, 4),
        ("end", 2, 0, 4),
    ]  # fmt: skip
    assert calls == [(name, *moment) for moment in moments for name in ("a", "b")]


def test_a_run_begins_where_it_is_told_to(image_set: ImageSet) -> None:
    calls: list[Any] = []
    train(run_of(image_set, Noting("a", calls), start=Position(epoch=1, batch=1, step=3)))
    assert [call[1:] for call in calls] == [
        ("start", 1, 1, 3), ("epoch start", 1, 1, 3), ("batch end", 1, 2, 4), ("epoch end", 1, 2, 4), ("end", 2, 0, 4)
    ]  # fmt: skip


@pytest.mark.parametrize("moment", ["start", "epoch start", "batch end", "epoch end"])
def test_whatever_ends_a_run_passes_and_every_callback_hears_of_the_end(moment: str, image_set: ImageSet) -> None:
    calls: list[Any] = []
    with pytest.raises(KeyboardInterrupt):
        train(run_of(image_set, Noting("a", calls, fail_at=moment), Noting("b", calls)))
    assert [call[:2] for call in calls[-3:]] == [("a", moment), ("a", "end"), ("b", "end")]


def test_it_trains_as_pytorch_by_hand(image_set: ImageSet) -> None:
    network, other = Network(), Network()
    other.load_state_dict(network.state_dict())
    steps: list[Step] = []

    class Keeping(Callback):
        def on_batch_end(self, run: Run, step: Step) -> None:
            steps.append(step)

    train(run_of(image_set, Keeping(), network=network))

    sgd = torch.optim.SGD(
        [{"params": [other.layer.weight]}, {"params": [other.layer.bias]}], 0.1, RECIPE.momentum, RECIPE.dampening
    )
    sgd.param_groups[0]["weight_decay"] = RECIPE.weight_decay
    sgd.param_groups[1]["weight_decay"] = RECIPE.weight_decay if RECIPE.decay_all else 0.0
    by_hand = []
    for epoch, rate in enumerate((0.1, 0.05)):
        for images, labels in DeviceSet.of(image_set, CPU).epoch(RECIPE, 3, epoch):
            for group in sgd.param_groups:
                group["lr"] = rate
            logits = other(images)
            loss = F.cross_entropy(logits, labels, label_smoothing=RECIPE.label_smoothing)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            by_hand.append((loss.item(), int((logits.argmax(1) != labels).sum()), len(labels), rate))
    assert [(s.loss.item(), int(s.wrong), s.images, s.rate) for s in steps] == by_hand
    assert not any(step.loss.requires_grad for step in steps)
    for name, value in other.state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name


@pytest.mark.parametrize(("precision", "logits"), [("float32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_precision_is_that_of_the_arithmetic_and_not_of_the_pictures(
    precision: str, logits: torch.dtype, image_set: ImageSet
) -> None:
    network = Network()
    run = Run(launched(CPU, precision, ALONE), ALONE, network, DeviceSet.of(image_set, CPU), RECIPE, 3)
    train(run)
    assert network.seen == {"images": torch.float32, "logits": logits, "training": True}
    assert all(p.dtype == torch.float32 for p in network.parameters())
