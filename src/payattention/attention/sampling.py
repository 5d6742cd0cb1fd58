"""What hard attention draws in a forward pass: kept for whoever asks, without a trace in the network."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

_drawn: ContextVar[list[Tensor] | None] = ContextVar("drawn", default=None)


@contextmanager
def draws() -> Iterator[list[Tensor]]:
    """Collects, of the forward passes inside, the log-probability (n,) of each level's draw; empty for soft attention.

    `with draws() as drawn: logits = model(images)`
    """
    drawn: list[Tensor] = []
    token = _drawn.set(drawn)
    try:
        yield drawn
    finally:
        _drawn.reset(token)


def record(log_probability: Tensor) -> None:
    """Called by a level that has drawn."""
    drawn = _drawn.get()
    if drawn is not None:
        drawn.append(log_probability)
