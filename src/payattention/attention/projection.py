"""Bringing local features and the query to one dimension, where they differ (paper, section 4).

The paper maps the query *down* to the local dimension, once per dimension, to keep the classifier small; the two
public re-implementations, and an ablation of the authors, map local features *up* instead.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from payattention.system.names import Registry


class QueryDown(nn.Module):
    """g -> the local dimension by BN-ReLU-Dropout-Linear, shared by all levels of one dimension.

    The normalisation before the linear map is in the authors' code, not in the paper.
    """

    def __init__(self, local_dims: Mapping[str, int], query_dim: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.keys = {name: str(dim) for name, dim in local_dims.items() if dim != query_dim}
        self.dims = dict(local_dims)
        self.to_dim = nn.ModuleDict(
            {str(dim): self._map(query_dim, dim, dropout) for dim in _others(local_dims.values(), query_dim)}
        )

    @staticmethod
    def _map(query_dim: int, dim: int, dropout: float) -> nn.Module:
        return nn.Sequential(nn.BatchNorm1d(query_dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(query_dim, dim))

    def local(self, name: str, local: Float[Tensor, "n d h w"]) -> Float[Tensor, "n d h w"]:
        return local

    def queries(self, query: Float[Tensor, "n q"]) -> dict[str, Tensor]:
        """The query of each level (n, d); a projection shared by several levels runs once."""
        projected = {key: project(query) for key, project in self.to_dim.items()}
        return {name: projected[self.keys[name]] if name in self.keys else query for name in self.dims}

    def drop_queries(self) -> None:
        """Removes, in place, what only serves queries."""
        self.to_dim = nn.ModuleDict()


class QueryDownLinear(QueryDown):
    """g -> the local dimension by one linear map, as the paper's text has it."""

    @staticmethod
    def _map(query_dim: int, dim: int, dropout: float) -> nn.Module:
        return nn.Linear(query_dim, dim)


class LocalUp(nn.Module):
    """l -> the query's dimension by a 1x1 convolution; both the score and the average use the projected l.

    What the Keras and the PyTorch re-implementation do (the latter, as here, without a bias).
    """

    bias: ClassVar[bool] = False

    def __init__(self, local_dims: Mapping[str, int], query_dim: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.dims = dict.fromkeys(local_dims, query_dim)
        self.to_query = nn.ModuleDict(
            {name: nn.Conv2d(dim, query_dim, 1, bias=self.bias) for name, dim in local_dims.items() if dim != query_dim}
        )

    def local(self, name: str, local: Float[Tensor, "n d h w"]) -> Float[Tensor, "n q h w"]:
        return self.to_query[name](local) if name in self.to_query else local

    def queries(self, query: Float[Tensor, "n q"]) -> dict[str, Tensor]:
        return dict.fromkeys(self.dims, query)

    def drop_queries(self) -> None:
        """Nothing here serves queries."""


class LocalUpNormalised(LocalUp):
    """l -> the query's dimension by a 1x1 convolution with a bias, and there the query passes BN-ReLU-Dropout.

    The authors' ablation `3_level_atten_1global_upprojecting`. Levels of the query's dimension take l and g as they
    are.
    """

    bias = True

    def __init__(self, local_dims: Mapping[str, int], query_dim: int, dropout: float = 0.5) -> None:
        super().__init__(local_dims, query_dim, dropout)
        self.normalise = nn.ModuleDict(
            {name: nn.Sequential(nn.BatchNorm1d(query_dim), nn.ReLU(), nn.Dropout(dropout)) for name in self.to_query}
        )

    def queries(self, query: Float[Tensor, "n q"]) -> dict[str, Tensor]:
        return {name: self.normalise[name](query) if name in self.normalise else query for name in self.dims}

    def drop_queries(self) -> None:
        self.normalise = nn.ModuleDict()


class OwnQueries(nn.Module):
    """Nothing is brought to anything: each level has a query of its own dimension, one after the other in g."""

    def __init__(self, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.dims = dict(dims)

    def local(self, name: str, local: Float[Tensor, "n d h w"]) -> Float[Tensor, "n d h w"]:
        return local

    def queries(self, query: Float[Tensor, "n q"]) -> dict[str, Tensor]:
        """The query of each level (n, d)."""
        return dict(zip(self.dims, query.split(list(self.dims.values()), dim=1), strict=True))

    def drop_queries(self) -> None:
        """Nothing here serves queries."""


Projection = QueryDown | LocalUp | OwnQueries

PROJECTIONS: Registry[type[QueryDown] | type[LocalUp]] = Registry(
    "projection",
    {
        "down": QueryDown,
        "down_linear": QueryDownLinear,
        "up": LocalUp,
        "up_norm": LocalUpNormalised,
    },
)


def create_projection(name: str, local_dims: Mapping[str, int], query_dim: int, dropout: float) -> Projection:
    """The projection called `name`; its `dims` are the levels' dimensions after it."""
    return PROJECTIONS[name](local_dims, query_dim, dropout)


def _others(dims: Iterable[int], query_dim: int) -> list[int]:
    return sorted({dim for dim in dims if dim != query_dim})
