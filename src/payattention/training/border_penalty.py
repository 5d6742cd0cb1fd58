"""A penalty on what attention spends at a picture's border, where frames and padding are told apart, not things."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from payattention.attention import Attended, AttentionLevel
from payattention.attention.maps import border_shares
from payattention.errors import UsageError


def levels_of(network: nn.Module) -> list[AttentionLevel]:
    """The levels of a network that attends.

    Raises:
        UsageError: It has none.
    """
    found = [module for module in network.modules() if isinstance(module, AttentionLevel)]
    if not found:
        raise UsageError("border_penalty is for a network with attention, and this one has no maps; leave it at 0")
    return found


@contextmanager
def maps_seen(levels: Sequence[AttentionLevel]) -> Iterator[list[Tensor]]:
    """Collects, of the forward passes inside, each level's map (n, h, w)."""
    maps: list[Tensor] = []

    def note(level: nn.Module, inputs: object, attended: Attended) -> None:
        maps.append(attended.map)

    with ExitStack() as hooks:
        for level in levels:
            hooks.callback(level.register_forward_hook(note).remove)
        yield maps


def at_border(maps: Sequence[Float[Tensor, "n _ _"]]) -> Float[Tensor, ""]:
    """The share of the maps' mass that lies in their outermost cells, 0 ... 1: the mean over maps and images.

    What is all border, as a grid of two cells a side, no training changes.
    """
    return torch.stack([border_shares(map_) for map_ in maps]).mean()
