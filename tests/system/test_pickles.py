"""What is said of a pickle: every entry says it, and its two lines of Python do what they promise."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import payattention as pa
from payattention.errors import CheckpointError, PayAttentionError
from payattention.system.pickles import is_pickle, never_opened


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))


@pytest.mark.parametrize("whole", [False, True])
def test_its_two_lines_make_a_safetensors_file(whole: bool, tmp_path: Path) -> None:
    file, saved = tmp_path / "old.pth", network()
    torch.save(saved if whole else saved.state_dict(), file)
    lines = re.findall("`(.*?)`", str(never_opened(file, holds_more=whole)))
    assert len(lines) == 2
    exec("\n".join(lines), {})
    tensors = load_file(tmp_path / "old.safetensors")
    assert tensors.keys() == saved.state_dict().keys()
    assert all(torch.equal(tensors[name], value) for name, value in saved.state_dict().items())


ENTRIES: dict[str, Callable[[Path], object]] = {
    "load": pa.load,
    "load_peer": pa.load_peer,
    "attach": lambda file: pa.attach("resnet10t", 2, weights=file),
    "warm_start": lambda file: pa.warm_start(pa.create_model("vgg", 2, 0.0625), file),
    "wrap": pa.wrap,
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_refuses_a_whole_network_and_says_what_to_do(entry: str, tmp_path: Path) -> None:
    file = tmp_path / "whole.pt"
    torch.save(network(), file)
    with pytest.raises(PayAttentionError) as error:
        ENTRIES[entry](file)
    assert "pickles are never opened: they can run code" in str(error.value)
    assert f"safetensors.torch.save_file(torch.load({str(file)!r}, weights_only=" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_damaged_file_is_not_said_to_hold_more_than_tensors(tmp_path: Path) -> None:
    for content in (b"text", b""):
        (tmp_path / "w.pth").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"w\.pth: damaged"):
            pa.attach("resnet10t", 2, weights=tmp_path / "w.pth")


def test_what_a_pickle_is(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for write in (lambda: torch.save({}, file), lambda: file.write_bytes(pickle.dumps({}))):
        write()
        assert is_pickle(file)
    for content in (b"", b"PK\x03\x04", b"text"):
        file.write_bytes(content)
        assert not is_pickle(file)
    assert not is_pickle(tmp_path)
