"""The baseline of the speed benchmark is the public implementation's network."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import payattention as pa
from payattention.speed.arithmetic import flops_per_image

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import peer

    return peer


@pytest.mark.parametrize(
    ("taps", "softmax", "multiply_adds"), [("before", True, 3_921_401_856), ("after", False, 3_820_222_464)]
)
def test_it_is_their_network(peer: Any, tmp_path: Path, taps: str, softmax: bool, multiply_adds: int) -> None:
    """Its weights are read as a checkpoint of theirs, and the network that reads those gives the same logits."""
    net = peer.PeerVGG(100, taps=taps, softmax=softmax).eval()
    assert sum(p.numel() for p in net.parameters()) == 19_993_764
    torch.save(net.state_dict(), tmp_path / "net.pth")
    ours = pa.load_peer(tmp_path / "net.pth", taps=taps, normaliser="softmax" if softmax else "sigmoid")
    images = torch.rand(1, 3, 32, 32)
    mean, std = (torch.tensor(value).view(-1, 1, 1) for value in (peer.MEAN, peer.STD))
    with torch.no_grad():
        logits, *scores = net((images - mean) / std)
        look = ours.attend(images)
    torch.testing.assert_close(logits, look.logits, rtol=1e-4, atol=1e-5)
    for theirs, level in zip(scores, ours.levels, strict=True):
        torch.testing.assert_close(theirs[:, 0], look.scores[level], rtol=1e-4, atol=1e-5)
    assert flops_per_image(_First(net), 32, training=False) == pytest.approx(2 * multiply_adds, rel=1e-3)


class _First(torch.nn.Module):
    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.net(images)[0]


def test_its_loop_trains(peer: Any) -> None:
    random = np.random.default_rng(0)
    data = peer.Pictures(random.integers(0, 256, (8, 32, 32, 3), np.uint8), np.arange(8) % 3)
    image, label = data[1]
    assert image.shape == (3, 32, 32)
    assert label == 1
    net = peer.PeerVGG(3)
    loop = peer.PeerLoop(net, data, batch_size=4, workers=0)
    before = net.classify.weight.clone()
    for _ in range(3):  # beyond the end of the set
        loop.log(*loop.step())
    assert not torch.equal(before, net.classify.weight)
    assert 0 <= loop.running <= 1
