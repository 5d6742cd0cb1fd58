"""The training loop costs no more than it must, and leaves a network as it found it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from payattention.data import ImageSet
from payattention.training.execution import Execution
from payattention.training.fit import fit, new_model
from payattention.training.recipe import Recipe


class Waits(TorchDispatchMode):
    """Counts how often a number is taken out of a tensor: on a GPU, each time the host waits for the device."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_the_host_waits_for_the_device_a_few_times_an_epoch_however_many_steps_it_has(
    image_set: ImageSet, tmp_path: Path
) -> None:
    counts = []
    for batch_size in (16, 4):
        chosen = Recipe(summary="test", epochs=2, batch_size=batch_size, shift=1, cutout=4, flips="half")
        model = new_model("vgg", image_set, chosen, width=0.0625)
        model.temperature = 2.0  # of other weights
        with Waits() as waits:
            fit(model, image_set, chosen, out=tmp_path)
        assert model.temperature == 1.0
        counts.append(waits.count)
    assert counts[0] == counts[1]
    assert counts[0] == 3 * 2  # the metrics' two numbers, and whether the loss is finite


@pytest.mark.filterwarnings("ignore:Guards may run slower:RuntimeWarning")  # on Python 3.13.0
def test_a_compiled_network_trains_alike_and_keeps_the_names_of_its_state(
    image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_ = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda module: compile_(module, backend="eager"))  # no C++ compiler
    chosen = Recipe(summary="test", epochs=1, batch_size=16, lr=0.05, dropout=0.0)
    states = []
    for compiled in (False, True):
        model = new_model("vgg_att2_concat_pc", image_set, chosen, width=0.0625)
        fit(model, image_set, chosen, out=tmp_path, execution=Execution(compiled))
        states.append(model.state_dict())
        assert model._compiled_call_impl is None
    assert states[0].keys() == states[1].keys()
    for name in states[0]:
        torch.testing.assert_close(states[0][name], states[1][name], msg=name)


def test_the_narrowest_resnet_trains(image_set: ImageSet, tmp_path: Path) -> None:
    """Its blocks have a single channel, where PyTorch 2.15 dies of a bus error in channels-last memory."""
    chosen = Recipe(summary="test", epochs=1, batch_size=16)
    model = new_model("resnet164", image_set, chosen, width=0.0625)
    assert len(fit(model, image_set, chosen, out=tmp_path)) == 1
