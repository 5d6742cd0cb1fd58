"""What every network here is: a classifier of raw pixels that can also say where it looked."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from payattention.attention.combination import Combination, Product
from payattention.attention.maps import stretched
from payattention.errors import UsageError, without_maps, without_query
from payattention.models.grids import ChannelsFirst, Layout
from payattention.models.preprocessing import MeanStd, Preprocessing, as_type
from payattention.models.several_looks import SCALES, View, averaged, views_of
from payattention.models.sharing import Shared
from payattention.models.value_range import warn_if_not_pixels


@dataclass(frozen=True)
class Look:
    """One forward pass of `attend`.

    Attributes:
        logits: (n, C), as `forward` gives them.
        maps: By level, (n, h, w), >= 0; under softmax each sums to 1. Where several queries ask, the mean of theirs.
        scores: By level, (n, h, w): the compatibility scores before normalisation; of several queries, their mean.
        descriptors: By level, (n, d): the attention-weighted features g_a.
        query: (n, q): the global feature g that was used; None where a network has none.
        query_maps: By level, (n, k, h, w): the map of each of the k queries that ask there; empty without attention.
    """

    logits: Tensor
    maps: Mapping[str, Tensor] = field(default_factory=dict)
    scores: Mapping[str, Tensor] = field(default_factory=dict)
    descriptors: Mapping[str, Tensor] = field(default_factory=dict)
    query: Tensor | None = None
    query_maps: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelConfig:
    """All that `create_model` needs to build the same network again; saved beside the weights as JSON."""

    OBJECT: ClassVar[str] = "module:"
    """Begins the name of a network that was given as an object and cannot be built from a name."""

    name: str
    num_classes: int
    width: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)
    pruned: bool = False
    """Whether `payattention.prune` then removed its dead parameters."""
    folded: bool = False
    """Whether `payattention.fold` then merged its batch norms into the convolutions before them."""

    def __post_init__(self) -> None:
        if weights := self.options.get("weights"):  # a file's name; where it lay is nobody else's business
            object.__setattr__(self, "options", {**self.options, "weights": Path(str(weights)).name})


class Classifier(Shared, nn.Module):
    """Base class: `forward(images) -> logits`, `attend(images) -> Look`.

    Images are float (n, channels, H, W) with values in [0, 1]: `in_channels` of them, 3 for RGB, 1 for grey.
    `preprocessing` is the first module. `classes`, `image_size` and `crop_mode` (how pictures became squares) tell what
    a trained model was trained on and travel with its weights; so does `temperature`, which divides logits before they
    become probabilities; and `combination`, how its levels' maps become one.
    """

    config: ModelConfig
    levels: tuple[str, ...] = ()
    """Names of the maps that `attend` gives, from low to high."""
    min_size: int = 1
    """The smallest height and width that the trunk can pool."""
    query_dim: int = 0
    """Channels of the global feature g that asks where to look; 0 where there is none."""
    views: tuple[View, ...] = ()
    """How else `attend` looks at each picture; its maps are then the mean (`averaging`)."""

    posthoc_method: ClassVar[str | None] = None
    """By which post-hoc method it is explained unless another is named; None for its own attention."""

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.preprocessing: nn.Module = MeanStd.of(in_channels)
        self.classes: tuple[str, ...] = ()
        self.image_size = 32
        self.crop_mode = "center"
        self.temperature = 1.0
        self.combination: Combination = Product()

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in, outside of autocast: its parameters' type. Images of any floating type are taken."""
        return next(p.dtype for p in self.parameters() if p.is_floating_point())

    @property
    def sizes(self) -> tuple[int, int | None]:
        """The least and the greatest height and width, in pixels, that it takes; None for no greatest."""
        only: int | None = getattr(self.preprocessing, "only_size", None)
        return (self.min_size, None) if only is None else (only, only)

    @property
    def frozen(self) -> tuple[str, ...]:
        """Its parts that training leaves as they are, by name: modules as a whole where all in them is frozen."""
        return tuple(_frozen(self, ""))

    def class_names(self, count: int) -> tuple[str, ...]:
        """The names of its `count` classes; their numbers where it knows no names."""
        return self.classes or tuple(map(str, range(count)))

    def probabilities(self, logits: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        """Of the classes, float32, each row summing to 1: the softmax of logits over the temperature."""
        return (logits.float() / self.temperature).softmax(1)

    def forward(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n c"]:
        return self.look(images, None).logits

    def attend(self, images: Float[Tensor, "n channels h w"], query: Tensor | None = None) -> Look:
        """Logits and maps in one pass.

        Args:
            images: (n, channels, H, W), values in [0, 1].
            query: Whose global feature replaces the images' own: another image batch (n or 1, channels, H', W') or its
                g (n or 1, q).

        Raises:
            UsageError: An image smaller than `min_size`, or a query that does not fit.
        """
        if query is None:
            return averaged(partial(self.look, query=None), images, self.views)
        self.check_has_query()
        if query.ndim == 4:
            query = self.query_of(query)
        query = as_type(query, self.dtype)
        if query.ndim != 2 or query.shape[0] not in (1, images.shape[0]) or query.shape[1] != self.query_dim:
            raise UsageError(
                f"a query is images (n, {self.in_channels}, h, w) or global features (n, {self.query_dim}), "
                f"n = 1 or {images.shape[0]}; got {tuple(query.shape)}"
            )
        return averaged(partial(self.look, query=query.expand(images.shape[0], -1)), images, self.views)

    def averaging(self, views: str) -> Self:
        """A twin of the same weights whose maps are means: over the picture and its "mirror" image, over two "scales",
        or "mirror,scales", over all four. What it predicts is the same; `attend` takes two to five times as long.

        Raises:
            UsageError: Another name; or a model without maps, or, for scales, one that takes pictures of one size only.
        """
        self.check_has_maps()
        twin = copy.copy(self)
        twin.views = views_of(views)
        least, greatest = self.sizes
        if least == greatest and any(view.scale != 1 for view in twin.views):
            raise UsageError(f"average over {SCALES}: {self.name} takes pictures of {least} pixels only; take mirror")
        return twin

    def query_of(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n q"]:
        """The global feature g of each image."""
        self.check_has_query()
        query = self.look(images, None).query
        assert query is not None  # query_dim is not 0
        return query

    def look(self, images: Float[Tensor, "n channels h w"], query: Tensor | None) -> Look:
        """The network itself; `forward` and `attend` are its two faces."""
        raise NotImplementedError

    def features(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n k"]:
        """What the last linear classifier sees, in evaluation mode: the features of the paper's transfer (table 3).

        The levels' descriptors after BN-ReLU, one after the other (k = 1024 for two levels of 512); without attention
        the averaged or the hidden vector. With a classifier for each level, each sees its own part of the vector.
        """
        raise NotImplementedError

    def joint(self, maps: Mapping[str, Tensor]) -> Tensor:
        """A look's maps as one (n, h, w), by the model's rule (`payattention.attention.combination`)."""
        combined: Tensor = self.combination([maps[name] for name in self.levels])
        return combined

    def combined(self, maps: Mapping[str, Tensor]) -> Tensor:
        """`joint`, stretched to 0 ... 1."""
        return stretched(self.joint(maps))

    def local_layers(self) -> dict[str, nn.Module]:
        """The modules whose outputs are what attention weighs, or would, from low to high: (n, d, h, w), or `layout`.

        Post-hoc methods look there (`payattention.posthoc`). Empty where a network does not say.
        """
        return {}

    def layout(self, layer: str) -> Layout:
        """How the output of one of the `local_layers` holds its grid."""
        return ChannelsFirst()

    def check_has_maps(self) -> None:
        """Raises UsageError for a network that has no maps."""
        if not self.levels:
            raise without_maps(self.name)

    def check_has_query(self) -> None:
        """Raises UsageError for a network whose maps ask no query."""
        if self.query_dim:
            return
        if hasattr(self, "config") and self.config.pruned:
            raise UsageError(
                f"the query of this {self.name} was pruned, since its maps cannot depend on one; "
                "take the model before pruning, or one with compatibility dp or additive"
            )
        raise without_query(self.name)

    def drop_dead(self) -> None:
        """Removes, in place, the parameters that cannot affect the output; `payattention.prune` is its safe face."""

    def dead_parameters(self) -> dict[str, int]:
        """Parameters that cannot affect logits or maps, whatever their values: the number of dead entries by name.

        The finding behind it: softmax attention by `pc`, `concat` or `local` cannot see its query (docs/the-query.md).
        """
        slim = copy.deepcopy(self)
        slim.drop_dead()
        left = {name: p.numel() for name, p in slim.named_parameters()}
        dead = {name: p.numel() - left.get(name, 0) for name, p in self.named_parameters()}
        return {name: count for name, count in dead.items() if count}

    @property
    def num_classes(self) -> int:
        return self.config.num_classes

    @property
    def name(self) -> str:
        return self.config.name if hasattr(self, "config") else type(self).__name__

    def check_size(self, height: int, width: int) -> None:
        """Raises UsageError for images of a size in pixels that it cannot take."""
        if min(height, width) < self.min_size:
            raise UsageError(
                f"the images are {width}x{height}, and {self.name} pools {self.min_size} pixels to one: "
                f"make them at least {self.min_size}x{self.min_size}"
            )
        if isinstance(self.preprocessing, Preprocessing):
            self.preprocessing.check_size(height, width)

    def prepared(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n channels h w"]:
        """Checks images of any floating type and normalises them: in float32, then in the model's own type."""
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            raise UsageError(f"images are (n, {self.in_channels}, height, width); got {tuple(images.shape)}")
        if not images.is_floating_point():
            raise UsageError(f"images hold values in [0, 1]; got {images.dtype} (divide whole numbers by 255)")
        self.check_size(images.shape[2], images.shape[3])
        if not self.training:  # a step would wait for the value
            warn_if_not_pixels(images)
        dtype = self.dtype
        exact = torch.float64 if dtype == torch.float64 else torch.float32
        prepared: Tensor = as_type(self.preprocessing(as_type(images, exact)), dtype)
        return prepared


def _frozen(module: nn.Module, name: str) -> Iterator[str]:
    parameters = list(module.parameters())
    if parameters and not any(p.requires_grad for p in parameters):
        yield name
        return
    inside = f"{name}." if name else ""
    yield from (f"{inside}{own}" for own, p in module.named_parameters(recurse=False) if not p.requires_grad)
    for own, child in module.named_children():
        yield from _frozen(child, f"{inside}{own}")
