"""Networks by name: `list_models`, `create_model`."""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import torch

from payattention.errors import UsageError, unknown
from payattention.models.classifier import Classifier, ModelConfig

MIN_WIDTH, MAX_WIDTH = 1 / 16, 8.0


@dataclass(frozen=True)
class Entry:
    """A registered network: its builder `build(num_classes, width, **options)` and one line about it.

    `lacks` gives, for options that other networks have and this one cannot, the reason.
    """

    name: str
    build: Callable[..., Classifier]
    summary: str
    lacks: Mapping[str, str] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, object]:
        """The keyword options of `create_model` for this network, with their defaults."""
        parameters = inspect.signature(self.build).parameters.values()
        return {p.name: p.default for p in parameters if p.name not in ("num_classes", "width")}


_ENTRIES: dict[str, Entry] = {}


def register(name: str, build: Callable[..., Classifier], summary: str, lacks: Mapping[str, str] | None = None) -> None:
    """Makes a network known by name."""
    _ENTRIES[name] = Entry(name, build, summary, lacks or {})


def entry(name: str) -> Entry:
    """The entry of `name`.

    Raises:
        UsageError: No such network; names the nearest ones.
    """
    if name not in _ENTRIES:
        raise unknown("model", name, _ENTRIES)
    return _ENTRIES[name]


def list_models(pattern: str = "*") -> list[str]:
    """Names of the registered networks that match a glob pattern, in alphabetical order."""
    return sorted(name for name in _ENTRIES if fnmatchcase(name, pattern))


def create_model(name: str, num_classes: int = 10, width: float = 1.0, **options: object) -> Classifier:
    """Builds a network with fresh weights.

    Args:
        name: One of `list_models()`.
        num_classes: Number of classes, at least 2.
        width: Scales every channel count of the trunk, from 1/16 to 8; 1 is the paper's.
        **options: The network's own options (`registry.entry(name).options`).

    Raises:
        UsageError: An unknown name or option, or a value out of range.
    """
    if num_classes < 2:
        raise UsageError(f"num_classes is {num_classes}: a classifier needs at least 2 classes")
    _check(name, width, options)
    model = entry(name).build(num_classes=num_classes, width=width, **options)
    model.config = ModelConfig(name, num_classes, width, options)
    return model


def check_model(name: str, width: float = 1.0, **options: object) -> None:
    """Raises what `create_model` would, without making any weights."""
    _check(name, width, options)
    with torch.device("meta"):
        create_model(name, 2, width, **options)


def _check(name: str, width: float, options: Mapping[str, object]) -> None:
    known = entry(name).options
    if not MIN_WIDTH <= width <= MAX_WIDTH:
        raise UsageError(f"width is {width:g}: it lies between {MIN_WIDTH} and {MAX_WIDTH:g} (1 is the paper's)")
    for option, value in options.items():
        if option in entry(name).lacks:
            raise UsageError(f"{name} has no option {option!r}: {entry(name).lacks[option]}")
        if option not in known:
            raise unknown(f"option of {name}", option, known)
        _check_kind(option, value, known[option])
        if option == "dropout" and isinstance(value, int | float) and not 0 <= value < 2:
            raise UsageError(f"dropout is {value}: it scales every dropout rate, from 0 (none) to below 2")


def _check_kind(option: str, value: object, default: object) -> None:
    """An option's value is of its default's kind: `head_norm="no"` would otherwise count as yes."""
    numbers = (int, float)
    if isinstance(default, bool):
        fits, kind = isinstance(value, bool), "true or false"
    elif isinstance(default, numbers):
        fits, kind = isinstance(value, numbers) and not isinstance(value, bool), "a number"
    else:
        fits, kind = not isinstance(default, str) or isinstance(value, str), "a name"
    if not fits:
        raise UsageError(f"{option} is {value!r}: it takes {kind}, by default {json.dumps(default)}")
