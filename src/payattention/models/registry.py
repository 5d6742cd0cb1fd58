"""Networks by name: `list_models`, `create_model`."""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial

from payattention.attention.levels import check_scaled
from payattention.errors import UsageError
from payattention.models.attentive import ATTENTION_DEFAULTS
from payattention.models.classifier import Classifier, ModelConfig
from payattention.models.preprocessing import create_preprocessing
from payattention.models.without_values import without_values
from payattention.system.names import Registry, check_known

MIN_WIDTH, MAX_WIDTH = 1 / 16, 8.0
MAX_CHANNELS = 1024


@dataclass(frozen=True)
class Entry:
    """A registered network: its builder `build(num_classes, width, **options)` and one line about it.

    `lacks` gives, for options that other networks have and this one cannot, the reason. A network that is not
    `scalable` has its own channels; its builder takes no width. `keywords` are options, with their defaults, that the
    builder's signature does not name.
    """

    name: str
    build: Callable[..., Classifier]
    summary: str
    lacks: Mapping[str, str] = field(default_factory=dict)
    scalable: bool = True
    keywords: Mapping[str, object] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, object]:
        """The keyword options of `create_model` for this network, with their defaults."""
        own, attends = dict(self.keywords), False
        for parameter in inspect.signature(self.build).parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:  # `AttentionOptions`
                attends = True
            elif parameter.name not in ("num_classes", "width"):
                own[parameter.name] = parameter.default
        if attends:
            given = self.build.keywords if isinstance(self.build, partial) else {}
            chosen = {name: given.get(name, default) for name, default in ATTENTION_DEFAULTS.items()}
            own |= {name: value for name, value in chosen.items() if name not in self.lacks}
        return {**own, "preprocessing": "mean_std"}


_ENTRIES: Registry[Entry] = Registry("model")
_FAMILIES: dict[str, Callable[[str], Entry]] = {}


def register(name: str, build: Callable[..., Classifier], summary: str, lacks: Mapping[str, str] | None = None) -> None:
    """Makes a network known by name."""
    _ENTRIES[name] = Entry(name, build, summary, lacks or {})


def register_attentive(
    family: str,
    depths: Mapping[str, tuple[int, ...]],
    build: Callable[..., Classifier],
    place: str,
    lacks: Mapping[str, str] | None = None,
) -> None:
    """Makes a family's attention networks known: one to three levels, both heads, both of the paper's compatibilities.

    Args:
        family: What the names begin with, as in `vgg_att2_concat_pc`.
        depths: Numbers of the tapped layers, ascending, by the word for their count ("att", "att2", "att3").
        build: `build(levels, num_classes, width, head=..., compatibility=..., **options)`.
        place: What is tapped, for the line about each: "layer".
        lacks: Options that these networks cannot have, with the reasons.
    """
    for depth, levels in depths.items():
        *others, last = map(str, levels)
        where = f"{place}s {', '.join(others)} and {last}" if others else f"{place} {last}"
        for head in ("concat", "indep") if others else ("",):
            for compatibility in ("dp", "pc"):
                name = "_".join(filter(None, (family, depth, head, compatibility)))
                chosen = partial(build, levels, head=head or "concat", compatibility=compatibility)
                register(name, chosen, f"attention at {where}, {compatibility}{head and ', ' + head}", lacks)


def register_family(prefix: str, find: Callable[[str], Entry]) -> None:
    """Makes all names that begin with `prefix` known: `find(name)` gives the entry or raises UsageError."""
    _FAMILIES[prefix] = find


def entry(name: str) -> Entry:
    """The entry of `name`.

    Raises:
        UsageError: No such network; names the nearest ones.
    """
    for prefix, find in _FAMILIES.items():
        if name.startswith(prefix):
            return find(name)
    if name not in _ENTRIES and (complete := _with_prefix(name)):
        raise UsageError(f"unknown model {name!r}; did you mean {complete!r}?")
    return _ENTRIES[name]


def _with_prefix(name: str) -> str | None:
    """The full name of a family's member whose prefix was left out."""
    for prefix, find in _FAMILIES.items():
        try:
            return find(prefix + name).name
        except UsageError:
            continue
    return None


def list_models(pattern: str = "*") -> list[str]:
    """Names of the registered networks that match a glob pattern, in alphabetical order."""
    return sorted(name for name in _ENTRIES if fnmatchcase(name, pattern))


def create_model(name: str, num_classes: int = 10, width: float = 1.0, **options: object) -> Classifier:
    """Builds a network with fresh weights.

    Args:
        name: One of `list_models()`, or `timm:NAME` for attention on a timm backbone (`payattention.attach`).
        num_classes: Number of classes, at least 2.
        width: Scales every channel count of the trunk, from 1/16 to 8; 1 is the paper's. Not for a timm backbone.
        **options: The network's own options (`registry.entry(name).options`).

    Raises:
        UsageError: An unknown name or option, or a value out of range.
    """
    check_num_classes(num_classes)
    _check(name, width, options)
    found = entry(name)
    own = {option: value for option, value in options.items() if option != "preprocessing"}
    scale = {"width": width} if found.scalable else {}
    model = found.build(num_classes=num_classes, **scale, **own)
    if "preprocessing" in options:
        model.preprocessing = create_preprocessing(options["preprocessing"], model.in_channels)
    model.image_size = max(model.image_size, model.min_size)
    model.config = ModelConfig(name, num_classes, width, options)
    return model


def check_num_classes(num_classes: object) -> None:
    """Raises UsageError for what is no whole number, or less than two classes."""
    if not isinstance(num_classes, int) or isinstance(num_classes, bool):
        raise UsageError(f"num_classes is {num_classes!r}: it takes a whole number, an int")
    if num_classes < 2:
        raise UsageError(f"num_classes is {num_classes}: a classifier needs at least 2 classes")


def check_model(name: str, width: float = 1.0, **options: object) -> None:
    """Raises what `create_model` would, without making any weights."""
    _check(name, width, options)
    with without_values():
        create_model(name, 2, width, **without_pretrained(options))


def without_pretrained(options: Mapping[str, object]) -> dict[str, object]:
    """The same network's options, for weights that come from elsewhere or not at all."""
    return {option: value for option, value in options.items() if option not in ("pretrained", "weights")}


def _check(name: str, width: float, options: Mapping[str, object]) -> None:
    found = entry(name)
    known = found.options
    if not found.scalable and width != 1:
        raise UsageError(f"width is {width:g}: {name} has its own channels, which no width scales; leave it out")
    if not MIN_WIDTH <= width <= MAX_WIDTH:
        raise UsageError(f"width is {width:g}: it lies between {MIN_WIDTH} and {MAX_WIDTH:g} (1 is the paper's)")
    for option, value in options.items():
        if option in found.lacks:
            raise UsageError(f"{name} has no option {option!r}: {found.lacks[option]}")
        check_known(f"option of {name}", known, option)
        check_value(option, value, known[option])


def check_value(option: str, value: object, default: object) -> None:
    """Raises UsageError for a value of another kind than its default's: `head_norm="no"` would else count as yes.

    An option that is None by default takes a whole number, or None.
    """
    if option == "scaled":
        check_scaled(value)
        return
    if isinstance(default, bool):
        fits, kind = isinstance(value, bool), "true or false"
    elif isinstance(default, float):
        fits, kind = isinstance(value, int | float) and not isinstance(value, bool), "a number"
    elif default is None or isinstance(default, int):
        whole = isinstance(value, int) and not isinstance(value, bool)
        fits, kind = whole or value is default, "a whole number"
    elif option == "queries":
        fits, kind = isinstance(value, int | str) and not isinstance(value, bool), "a whole number or a name"
    else:
        fits, kind = not isinstance(default, str) or isinstance(value, str), "a name"
    if not fits:
        raise UsageError(f"{option} is {value!r}: it takes {kind}, by default {json.dumps(default)}")
    if option == "in_channels" and isinstance(value, int) and not 1 <= value <= MAX_CHANNELS:
        raise UsageError(f"in_channels is {value}: images have 1 to {MAX_CHANNELS} channels (3 for RGB, 1 for grey)")
    if option == "dropout" and isinstance(value, int | float) and not 0 <= value < 2:
        raise UsageError(f"dropout is {value}: it scales every dropout rate, from 0 (none) to below 2")
