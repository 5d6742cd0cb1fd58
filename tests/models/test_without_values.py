"""On the meta device a network has the names and shapes that it has with values, and no random number is drawn.

Nor is one drawn where a file's values are to come.
"""

from pathlib import Path

import pytest
import torch

import payattention as pa
from payattention.models.without_values import values_to_come, without_values

NAMES = ["vgg_att2_concat_pc", "resnet164_att_pc", "timm:test_vit", "timm:test_efficientnet"]


@pytest.mark.parametrize("name", NAMES)
def test_names_and_shapes_are_those_of_the_network(name: str) -> None:
    state = torch.get_rng_state()
    with without_values():
        network = pa.create_model(name, 3, 0.0625) if not name.startswith("timm:") else pa.attach(name[5:], 3)
        filled = torch.nn.init.normal_(torch.empty(2, 3))
    assert torch.equal(torch.get_rng_state(), state)
    assert filled.shape == (2, 3)
    assert all(tensor.is_meta for tensor in network.state_dict().values())
    real = pa.create_model(name, 3, 0.0625) if not name.startswith("timm:") else pa.attach(name[5:], 3)
    assert {n: t.shape for n, t in network.state_dict().items()} == {n: t.shape for n, t in real.state_dict().items()}
    with without_values():
        assert torch.nn.init.normal_(torch.zeros(2, device="cpu")).abs().sum() > 0


@pytest.mark.parametrize("name", NAMES)
def test_what_is_to_be_filled_from_a_file_is_not_filled_before(name: str, tmp_path: Path) -> None:
    model = pa.create_model(name, 3, 0.0625) if not name.startswith("timm:") else pa.attach(name[5:], 3)
    file = pa.save(model, tmp_path / "model.safetensors")
    with values_to_come(), torch.random.fork_rng(devices=[]):
        state = torch.get_rng_state()
        pa.create_model(name, 3, 0.0625) if not name.startswith("timm:") else pa.attach(name[5:], 3)
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.zeros(9).normal_().any()  # what is no parameter is
    loaded = pa.load(file).state_dict()
    assert all(torch.equal(tensor, loaded[key]) for key, tensor in model.state_dict().items())
