"""The ways to read a frozen backbone's features, and what is asked of a probe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from payattention.errors import UsageError
from payattention.evaluation.probing.pooled import NEIGHBOURS
from payattention.models import check_model
from payattention.models.timm_backbones.attach import PREFIX
from payattention.system.names import check_known
from payattention.system.validation import checked
from payattention.training.model_options import model_options
from payattention.training.recipe import Recipe, load_recipe


@dataclass(frozen=True)
class Method:
    """One way to read features.

    Attributes:
        title: What a table calls it.
        options: Of `attach`, for one that attends; None for those that read the pooled features.
        several: Whether it asks with several queries.
    """

    title: str
    options: Mapping[str, Any] | None = None
    several: bool = False


METHODS = {
    "knn": Method(f"k-NN, k = {NEIGHBOURS}"),
    "linear": Method("linear probe"),
    "pc": Method("pc", {"compatibility": "pc"}),
    "dp": Method("dp", {"compatibility": "dp"}),
    "additive": Method("additive", {"compatibility": "additive"}),
    "efficient": Method("efficient probing", {"compatibility": "local"}, several=True),
    "live": Method("live queries", {"compatibility": "dp"}, several=True),
}
"""By name. Efficient probing is that of Psomas et al. (2026): learned queries that ask the same of every picture; live
queries are moved by each picture's own global feature (`payattention.attention.compatibility.LiveQueries`)."""


def methods_of(names: Sequence[str]) -> tuple[str, ...]:
    """The methods of these names, each once; "all" stands for all.

    Raises:
        UsageError: An unknown name, or none.
    """
    check_known("way to read features", [*METHODS, "all"], *names)
    if not names:
        raise UsageError(f"no way to read features: name one of {', '.join(METHODS)}, or all")
    return tuple(METHODS) if "all" in names else tuple(dict.fromkeys(names))


def _of_probe() -> Recipe:
    return load_recipe("probe")


@checked(frozen=True)
class ProbeConfig:
    """What is asked of a probe; a wrong kind of value, or one out of range, raises UsageError.

    Attributes:
        backbone: timm's name of it, with or without "timm:" before it.
        methods: Names of `METHODS`.
        options: Of `attach`, for the backbone and for every method that attends: `pretrained=True`, `levels=1`, ...
        queries: Of those that ask with several.
        recipe: By which all but k-NN are trained.
        seed: Of weights, order and dropout.
    """

    backbone: str
    methods: Annotated[tuple[str, ...], Field(strict=False)] = tuple(METHODS)
    options: Mapping[str, Any] = field(default_factory=dict)
    queries: Annotated[int, Field(ge=2)] = 8
    recipe: Recipe = field(default_factory=_of_probe)
    seed: int = 0

    @property
    def model(self) -> str:
        """The network's name."""
        return PREFIX + self.backbone.removeprefix(PREFIX)

    def options_of(self, method: str) -> dict[str, Any]:
        """Those of `attach` that a method is, beside the shared ones."""
        own, several = METHODS[method].options or {}, METHODS[method].several
        return {**own, **({"queries": self.queries} if several else {})}

    def network_of(self, method: str) -> dict[str, Any]:
        """All options of the network that a method trains."""
        return {**self.options, **self.options_of(method), "freeze": True}

    def shared(self) -> dict[str, Any]:
        """The options that all rows share, as a result keeps them: where a file of weights lay is nobody's business."""
        weights = self.options.get("weights")
        return {**self.options, **({"weights": Path(str(weights)).name} if weights else {})}

    def title_of(self, method: str) -> str:
        """What a table calls it."""
        return METHODS[method].title + (f", k = {self.queries}" if METHODS[method].several else "")

    def settings_of(self, method: str) -> dict[str, Any]:
        """What `train --set` gives the same network; the backbone's weights have options of their own there."""
        shared = {name: value for name, value in self.options.items() if name not in ("pretrained", "weights")}
        return {**shared, **self.options_of(method)}

    def check(self) -> None:
        """Raises UsageError for what can be found before any data is read."""
        methods_of(self.methods)
        self.recipe.check_frozen()
        differing = {"compatibility", "queries", "freeze"} & self.options.keys()
        if differing:
            raise UsageError(
                f"{min(differing)} is what the rows differ in, or what all have alike: choose rows with --methods, and "
                "with --queries how many queries ask"
            )
        strictest = max(self.methods, key=lambda method: METHODS[method].several)  # not every level can be shared
        check_model(self.model, **{**model_options(self.recipe, self.model), **self.network_of(strictest)})
