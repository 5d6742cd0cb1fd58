"""Snapshots give back what they were given, bit by bit, or say that they cannot."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from payattention.errors import CheckpointError
from payattention.training import snapshot

DTYPES = (torch.float32, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool)


def tensor(dtype: torch.dtype, shape: list[int], seed: int) -> torch.Tensor:
    """Random bits, with the strides of a transposed tensor."""
    random = torch.Generator().manual_seed(seed)
    values = torch.randint(-100, 100, shape, generator=random).to(dtype)
    return values.transpose(0, -1) if shape else values


tensors = st.builds(tensor, st.sampled_from(DTYPES), st.lists(st.integers(0, 3), max_size=4), st.integers(0, 99))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
states = st.recursive(
    tensors | scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        assert isinstance(other, torch.Tensor)
        # where a side is 0 or 1 long, its stride means nothing
        strides = [(a, b) for a, b, n in zip(one.stride(), other.stride(), one.shape, strict=True) if n > 1]
        return one.dtype == other.dtype and torch.equal(one, other) and all(a == b for a, b in strides)
    if isinstance(one, dict):
        assert isinstance(other, dict)
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        assert isinstance(other, list | tuple)
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(max_size=5), states, max_size=4))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, state: dict[str, object]) -> None:
    assert same(snapshot.read(snapshot.write(tmp_path_factory.mktemp("run"), 7, state)), state)


def test_what_it_cannot_hold_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="cannot hold a set"):
        snapshot.write(tmp_path / "s", 1, {"a": {1, 2}})
    assert not (tmp_path / "s").exists()


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    for step in (5, 10, 100, 1000):
        snapshot.write(tmp_path, step, {"step": step})
    assert [file.name for file in snapshot.written(tmp_path)] == [
        "step-000000100.safetensors",
        "step-000001000.safetensors",
    ]
    assert snapshot.newest(tmp_path) == ({"step": 1000}, [])


def flipped(content: bytes) -> bytes:
    return content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]


@pytest.mark.parametrize(
    "damage", [flipped, lambda content: content[: len(content) // 2], lambda content: b"", lambda content: b"x" * 99]
)
def test_a_damaged_one_is_passed_over(tmp_path: Path, damage: object) -> None:
    for step in (1, 2):
        snapshot.write(tmp_path, step, {"step": step, "weights": torch.arange(100.0)})
    before, last = snapshot.written(tmp_path)
    last.write_bytes(damage(last.read_bytes()))
    state, (problem,) = snapshot.newest(tmp_path)
    assert state["step"] == 1
    assert f"{last}: a damaged snapshot" in problem
    before.write_bytes(damage(before.read_bytes()))
    with pytest.raises(CheckpointError, match=r"no snapshot of this run is whole .* delete .* to go on from its first"):
        snapshot.newest(tmp_path)


def test_where_there_is_none(tmp_path: Path) -> None:
    assert snapshot.newest(tmp_path / "nowhere") == (None, [])
