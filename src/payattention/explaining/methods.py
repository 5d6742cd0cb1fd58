"""What can be asked for, methods and classes: known without PyTorch, so that a mistake is told at once."""

import tomllib
from collections.abc import Sequence
from importlib.resources import files

from payattention.errors import UsageError
from payattention.system.names import check_known
from payattention.weights.header import Saved

ATTENTION = "attention"
"""The name, beside those of the post-hoc methods, for the attention that a model was trained with."""
ALL = "all"
"""The target that stands for each of the most probable classes."""

GUIDED = "guided"
"""The refinement of maps by `payattention.explaining.guided_filter`."""

_POSTHOC = tomllib.loads((files("payattention") / "posthoc" / "methods.toml").read_text(encoding="utf-8"))
METHODS = (ATTENTION, *_POSTHOC)


def check_method(name: str) -> None:
    """Raises UsageError for a method that there is not."""
    check_known("method", METHODS, name)


def title_of(method: str) -> str:
    """What tables and pictures call a method."""
    return ATTENTION if method == ATTENTION else str(_POSTHOC[method]["title"])


def is_of_class(method: str) -> bool:
    """Whether a post-hoc method's map is another for each class."""
    return bool(_POSTHOC[method].get("of_class", True))


def is_costly(method: str) -> bool:
    """Whether a post-hoc method takes many forward passes."""
    return bool(_POSTHOC[method].get("costly", False))


def check_of_class(method: str, target: object) -> None:
    """Raises UsageError for a target where a post-hoc method's map is the same whatever the class."""
    if not is_of_class(method):
        raise without_classes(method, target)


def check_asked(known: Saved, method: str | None, target: str | int | None) -> None:
    """Raises UsageError for what a saved model cannot be asked, as far as its file tells."""
    if method is None or method == ATTENTION:
        known.check_has_maps()
    else:
        check_method(method)
    if target is not None:
        check_target(target, known.classes, known.num_classes)
        if method not in (None, ATTENTION):
            check_of_class(method, target)
        elif known.query_dim:  # its attention asks by the picture's own query, not by a class
            raise without_classes(f"the attention of {known.name}", target)


def check_average(average: str | None, method: str | None, target: object) -> None:
    """Raises UsageError for a mean over views where other maps are asked for than the model's own."""
    if average is not None and (method not in (None, ATTENTION) or target is not None):
        raise UsageError(
            f"average {average!r} is of the model's own attention, and of no class: leave it out, or "
            f"{'the target' if method in (None, ATTENTION) else f'the method {method!r}'}"
        )


def check_refinement(name: str | None) -> None:
    """Raises UsageError for a refinement that there is not."""
    if name is not None:
        check_known("refinement", (GUIDED,), name)


def without_classes(what: str, target: object) -> UsageError:
    """The error for a class that is asked of maps that belong to none."""
    return UsageError(f"target {target!r}: {what} is one map whatever the class; name a method, such as grad_cam")


def is_all(target: object, classes: Sequence[str]) -> bool:
    """Whether a target stands for all, and not for a class of that name."""
    return isinstance(target, str) and target == ALL and ALL not in classes


def as_target(text: str, classes: Sequence[str]) -> str | int:
    """A target as it is typed: digits are a class's number, unless a class is called so."""
    return int(text) if text.isdecimal() and text not in classes else text


def check_target(target: object, classes: Sequence[str], count: int | None = None) -> None:
    """Raises UsageError for what is no class of a model.

    Args:
        target: A class by name or number, or "all".
        classes: The names of the model's classes; none where it knows numbers only.
        count: How many classes it has, where that is known.
    """
    if isinstance(target, str):
        if is_all(target, classes):
            return
        if not classes:
            raise UsageError(f"target {target!r}: the model knows its classes by number only")
        check_known("class", classes, target)
    elif isinstance(target, bool) or not hasattr(target, "__index__"):
        raise UsageError(f"target {target!r}: it is a class, by name or number, or 'all'")
    elif count is not None and not 0 <= target.__index__() < count:
        raise UsageError(f"target {target}: the model's classes are 0 ... {count - 1}")
