"""The type checker of the tests: an int may stand for a float, as Python's typing has it (PEP 484).

While PyTorch makes a graph of a network, sizes are symbols and no numbers: then nothing is checked.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from beartype import BeartypeConf, beartype

_CONF = BeartypeConf(is_pep484_tower=True)


def checked(thing: Any) -> Any:
    """A function, or a class, whose signatures are checked."""
    typed: Callable[..., Any] = beartype(thing, conf=_CONF)
    if isinstance(thing, type):
        return typed

    @wraps(thing)
    def check(*values: Any, **named: Any) -> Any:
        return (thing if torch.compiler.is_compiling() else typed)(*values, **named)

    return check
