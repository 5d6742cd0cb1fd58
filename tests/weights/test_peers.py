"""Checkpoints of the public PyTorch implementation, against its arithmetic written out again.

`Plain` is that network from its description: functions on a state dict of its keys, none of our modules.
"""

import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import payattention as pa
from payattention.errors import CheckpointError, UsageError

BLOCKS = {1: (3, 64, 2), 2: (64, 128, 2), 3: (128, 256, 3), 4: (256, 512, 3), 5: (512, 512, 3), 6: (512, 512, 2)}
CLASSES = 7
MEAN, STD = torch.tensor([0.5071, 0.4867, 0.4408]), torch.tensor([0.2675, 0.2565, 0.2761])

State = dict[str, Tensor]


def convolutions(block: int) -> Iterator[tuple[int, int, int]]:
    """Index in the block's sequence, channels in and out; in the last block a pool follows each ReLU."""
    channels, out, count = BLOCKS[block]
    for number in range(count):
        yield number * (4 if block == 6 else 3), channels if number == 0 else out, out


def random_state(attention: bool = True, grid: int = 1) -> State:
    state = {}
    for block in BLOCKS:
        for index, channels, out in convolutions(block):
            conv, norm = f"conv_block{block}.op.{index}", f"conv_block{block}.op.{index + 1}"
            state[f"{conv}.weight"] = torch.randn(out, channels, 3, 3) * (2 / (9 * channels)) ** 0.5
            state[f"{conv}.bias"] = torch.randn(out) * 0.1
            state[f"{norm}.weight"] = torch.rand(out) + 0.5
            state[f"{norm}.bias"] = torch.randn(out) * 0.1
            state[f"{norm}.running_mean"] = torch.randn(out) * 0.1
            state[f"{norm}.running_var"] = torch.rand(out) + 0.5
            state[f"{norm}.num_batches_tracked"] = torch.tensor(100)
    state["dense.weight"] = torch.randn(512, 512, grid, grid) * 512**-0.5 / grid
    state["dense.bias"] = torch.randn(512) * 0.1
    state["classify.bias"] = torch.randn(CLASSES)
    if not attention:
        return state | {"classify.weight": torch.randn(CLASSES, 512) * 512**-0.5}
    state["projector.op.weight"] = torch.randn(512, 256, 1, 1) * 256**-0.5
    for level in (1, 2, 3):
        state[f"attn{level}.op.weight"] = torch.randn(1, 512, 1, 1) * 512**-0.5
    return state | {"classify.weight": torch.randn(CLASSES, 1536) * 1536**-0.5}


def plain(state: State, images: Tensor, after: bool, softmax: bool) -> list[Tensor]:
    """Logits and the three levels' scores before normalisation."""
    x, taps = (images - MEAN[:, None, None]) / STD[:, None, None], []
    for block in BLOCKS:
        for index, _, _ in convolutions(block):
            conv, norm = f"conv_block{block}.op.{index}", f"conv_block{block}.op.{index + 1}"
            x = F.conv2d(x, state[f"{conv}.weight"], state[f"{conv}.bias"], padding=1)
            statistics = (state[f"{norm}.running_mean"], state[f"{norm}.running_var"])
            x = F.batch_norm(x, *statistics, state[f"{norm}.weight"], state[f"{norm}.bias"], eps=1e-5).relu()
            if block == 6:
                x = F.max_pool2d(x, 2)
        if block in (3, 4, 5):
            pooled = F.max_pool2d(x, 2)
            taps.append(pooled if after else x)
            x = pooled
    g = F.conv2d(x, state["dense.weight"], state["dense.bias"])  # (n, 512, 1, 1)
    if "projector.op.weight" not in state:
        return [F.linear(g.flatten(1), state["classify.weight"], state["classify.bias"])]
    taps[0] = F.conv2d(taps[0], state["projector.op.weight"])
    scores = [F.conv2d(tap + g, state[f"attn{level}.op.weight"]) for level, tap in enumerate(taps, 1)]
    descriptors = []
    for c, tap in zip(scores, taps, strict=True):
        if softmax:
            weights = c.flatten(2).softmax(2).view_as(c)
            descriptors.append((weights * tap).sum((2, 3)))
        else:
            descriptors.append((c.sigmoid() * tap).mean((2, 3)))
    logits = F.linear(torch.cat(descriptors, 1), state["classify.weight"], state["classify.bias"])
    return [logits, *(c[:, 0] for c in scores)]


@pytest.fixture(scope="module")
def state() -> State:
    torch.manual_seed(0)
    return random_state()


@pytest.fixture(scope="module")
def checkpoint(state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("peer") / "net.pth"
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path)
    return path


@pytest.mark.parametrize("taps", ["before", "after"])
@pytest.mark.parametrize("normaliser", ["softmax", "sigmoid"])
def test_same_logits_and_scores(checkpoint: Path, state: State, taps: str, normaliser: str) -> None:
    """In double precision, where 1e-5 is no rounding; scores of 10 have a rounding of 1e-5 in single precision."""
    model = pa.load_peer(checkpoint, kind="saoyan", taps=taps, normaliser=normaliser).double()
    images = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    state = {name: tensor.double() for name, tensor in state.items()}
    with torch.no_grad():
        look = model.attend(images)
        logits, *scores = plain(state, images, taps == "after", normaliser == "softmax")
    torch.testing.assert_close(look.logits, logits, rtol=0, atol=1e-6)
    assert [tuple(c.shape[1:]) for c in scores] == [(s, s) for s in ((32, 16, 8) if taps == "before" else (16, 8, 4))]
    for level, c in zip(model.levels, scores, strict=True):
        torch.testing.assert_close(look.scores[level], c, rtol=0, atol=1e-6)
        assert (look.maps[level].sum((1, 2)).sub(1).abs() < 1e-6).all() == (normaliser == "softmax")


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("grid", [1, 2])
def test_networks_without_attention_and_for_larger_pictures(attention: bool, grid: int, tmp_path: Path) -> None:
    state = random_state(attention, grid)
    torch.save(state, tmp_path / "net.pth")
    model = pa.load_peer(tmp_path / "net.pth").double()
    assert model.image_size == 32 * grid
    assert model.name == ("saoyan_vgg_att3" if attention else "saoyan_vgg")
    images = torch.rand(1, 3, 32 * grid, 32 * grid, dtype=torch.float64)
    with torch.no_grad():
        logits, *_ = plain({name: tensor.double() for name, tensor in state.items()}, images, False, True)
        torch.testing.assert_close(model(images), logits, rtol=0, atol=1e-6)
        images, model = images.float(), model.float()
        again = pa.load(pa.save(model, tmp_path / "ours"))
        torch.testing.assert_close(again(images), model(images), rtol=0, atol=1e-6)


def test_it_is_a_model_like_every_other(checkpoint: Path, tmp_path: Path) -> None:
    model = pa.load_peer(checkpoint, taps="after", normaliser="sigmoid")
    assert not model.training
    loaded = pa.load(pa.save(model, tmp_path))
    images = torch.rand(1, 3, 32, 48)
    torch.testing.assert_close(loaded(images), model(images), rtol=0, atol=0)  # its mean and deviation travel too
    foreign = loaded.attend(images, query=torch.rand(1, 3, 32, 32))
    assert not torch.equal(foreign.maps["layer13"], loaded.attend(images).maps["layer13"])


def test_old_files_are_read(state: State, tmp_path: Path) -> None:
    """Of torch below 1.6, without zip, and below 0.4.1, without counts of batches."""
    old = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "net.pth", _use_new_zipfile_serialization=False)
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        logits = pa.load_peer(tmp_path / "net.pth", taps="after")(images)
    torch.testing.assert_close(logits, plain(state, images, True, True)[0], rtol=0, atol=1e-5)


def test_every_wrong_key_is_listed_at_once(state: State, tmp_path: Path) -> None:
    wrong = dict(state)
    del wrong["projector.op.weight"], wrong["attn2.op.weight"]
    wrong["attn4.op.weight"] = torch.zeros(1, 512, 1, 1)
    wrong["dense.weight"] = torch.zeros(512, 512, 2, 1)
    wrong["classify.weight"] = torch.zeros(CLASSES, 512)
    torch.save(wrong, tmp_path / "net.pth")
    with pytest.raises(CheckpointError) as caught:
        pa.load_peer(tmp_path / "net.pth")
    message = str(caught.value)
    assert "2 missing: projector.op.weight, attn2.op.weight" in message
    assert "1 unexpected: attn4.op.weight" in message
    assert "2 misshapen: dense.weight (512, 512, 2, 1) instead of (512, 512, 2, 2), " in message
    assert f"classify.weight ({CLASSES}, 512) instead of ({CLASSES}, 1536)" in message
    assert "\n" not in message


class Harmful:
    """A pickle that makes a file when it is opened."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("as_torch", [True, False])
def test_a_pickle_that_would_run_code_is_refused_and_not_run(as_torch: bool, tmp_path: Path) -> None:
    trace, path = tmp_path / "trace", tmp_path / "net.pth"
    if as_torch:
        torch.save({"dense.weight": Harmful(trace)}, path)
    else:
        path.write_bytes(pickle.dumps(Harmful(trace)))
    pickle.loads(pickle.dumps(Harmful(trace)))
    assert trace.exists(), "this pickle is harmless"
    trace.unlink()
    with pytest.raises(CheckpointError, match="pickles are never opened"):
        pa.load_peer(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged, or no file of torch.save"),
        (b"PK\x03\x04 and no more", "damaged"),
        (b"some text, and more of it", "damaged"),
    ],
)
def test_damaged_files_are_told(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        pa.load_peer(tmp_path / "net.pth")


def test_other_things_are_told(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match=re.escape(f"{tmp_path / 'none.pth'}: no such file")):
        pa.load_peer(tmp_path / "none.pth")
    torch.save({"epoch": 3, "state_dict": {}}, tmp_path / "run.pth")
    with pytest.raises(CheckpointError, match="not tensors by name"):
        pa.load_peer(tmp_path / "run.pth")
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"missing: conv_block1.op.0.weight.*1 unexpected: weight"):
        pa.load_peer(tmp_path / "other.pth")
    with pytest.raises(UsageError, match="unknown kind of peer checkpoint 'saoyan2'; did you mean 'saoyan'"):
        pa.load_peer(checkpoint, kind="saoyan2")
    with pytest.raises(UsageError, match="unknown place of the taps 'behind'"):
        pa.load_peer(tmp_path / "none.pth", taps="behind")
    with pytest.raises(UsageError, match="unknown normaliser 'sigmod'; did you mean 'sigmoid'"):
        pa.load_peer(tmp_path / "none.pth", normaliser="sigmod")
