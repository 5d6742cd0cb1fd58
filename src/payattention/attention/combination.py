"""How the maps of a network's levels become one. The rule is the model's, so all its combined maps are alike."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from payattention.attention.maps import alike, joint
from payattention.system.names import Registry, check_known


class Combination(nn.Module):
    """Base class: `forward(maps) -> (n, H, W)`, of maps (n, h, w) from low to high, each on a grid of its own."""

    def forward(self, maps: Sequence[Float[Tensor, "n _ _"]]) -> Float[Tensor, "n H W"]:
        raise NotImplementedError


class Product(Combination):
    """The last two levels' product on the finer grid (`payattention.attention.maps.joint`; paper, section A.4).

    Args:
        root: Whether its square root is taken.
    """

    def __init__(self, root: bool = True) -> None:
        super().__init__()
        self.root = root

    def forward(self, maps: Sequence[Float[Tensor, "n _ _"]]) -> Float[Tensor, "n H W"]:
        return joint(maps, self.root)


class Mean(Combination):
    """The mean of all levels on the finest grid, each first brought to a mean of 1, so that none outweighs another.

    A map of softmax has the smaller values the more positions it has. Where one level looks, the others cannot take it
    back, as they can in a product.
    """

    def forward(self, maps: Sequence[Float[Tensor, "n _ _"]]) -> Float[Tensor, "n H W"]:
        return torch.stack(alike(maps)).mean(0)


class Single(Combination):
    """One level's own map.

    Args:
        place: Its place among the levels.
    """

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place = place

    def forward(self, maps: Sequence[Float[Tensor, "n _ _"]]) -> Float[Tensor, "n H W"]:
        return maps[self.place]


COMBINATIONS: Registry[Callable[[], Combination]] = Registry(
    "combination", {"product": Product, "mean": Mean, "last": lambda: Single(-1)}
)


def create_combination(name: str, levels: Sequence[str]) -> Combination:
    """The rule called `name`, or by a level's name that level alone.

    Raises:
        UsageError: Neither.
    """
    check_known("combination", [*COMBINATIONS, *levels], name)
    return Single(list(levels).index(name)) if name in levels else COMBINATIONS[name]()
