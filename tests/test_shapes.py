"""Signatures are checked while tests run, and shapes in them are those of `np.ndarray`.

From numpy 2.5 on `NDArray[...]` is no class, as jaxtyping needs it; that numpy needs Python 3.12, so on an older one
nothing else tells.
"""

import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from beartype.roar import BeartypeCallHintViolation, BeartypeDoorHintViolation
from jaxtyping import Float
from torch import Tensor

import payattention
from checking import checked
from payattention.attention.maps import upsampled


def test_shapes_are_of_arrays_in_every_numpy() -> None:
    sources = Path(payattention.__file__).parent.rglob("*.py")
    assert [path for path in sources if re.search(r"\w\[NDArray\[\w+\], \"", path.read_text(encoding="utf-8"))] == []


@checked
def pairs(local: Float[Tensor, "n d"], query: Float[Tensor, " d"], scale: float) -> Float[Tensor, " n"]:
    return local @ query * scale if scale else query


@checked
def rows_of(local: Float[Tensor, "n d"], query: Float[Tensor, " d"]) -> Iterator[Tensor]:
    warnings.warn("here", stacklevel=2)
    yield from local + query


@pytest.mark.skipif(os.environ.get("PAYATTENTION_SHAPES") == "0", reason="shapes are not checked")
def test_generators_are_checked_when_they_are_called_and_warn_of_who_runs_them() -> None:
    with pytest.raises(BeartypeDoorHintViolation):
        rows_of(torch.ones(3, 2), torch.ones(3))
    with pytest.warns(UserWarning, match="here") as warned:
        assert len(list(rows_of(torch.ones(3, 2), torch.ones(2)))) == 3
    assert warned[0].filename == __file__


@pytest.mark.skipif(os.environ.get("PAYATTENTION_SHAPES") == "0", reason="shapes are not checked")
def test_signatures_are_checked_while_tests_run() -> None:
    assert pairs(torch.ones(3, 2), torch.ones(2), 1).shape == (3,)  # an int is a float
    for wrong in (
        (torch.ones(3, 2), torch.ones(3), 1.0),  # two numbers called d
        (torch.ones(3, 2), torch.ones(2), 0),  # what is returned is not n long
        (torch.ones(3, 2), torch.ones(2), "1"),
        (torch.ones(3, 2).int(), torch.ones(2), 1.0),
    ):
        with pytest.raises(BeartypeCallHintViolation):
            pairs(*wrong)
    with pytest.raises(BeartypeCallHintViolation):  # so are those of the package
        upsampled(torch.ones(4, 4), (8, 8))
