"""What others wrote (recipes, runs, headers, tables), checked by pydantic: models declare kinds, ranges and choices.

Here a fault becomes one line of ours. Importing this imports pydantic: only what is not needed for `--help` does.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, ValidationError, WrapValidator
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic.fields import FieldInfo

from payattention.errors import PayAttentionError, UsageError
from payattention.system.names import unknown

__all__ = ["STRICT", "checked", "fault", "short", "takes", "within"]

STRICT = ConfigDict(strict=True, allow_inf_nan=False)
"""Of every model: "3" is no number, and neither is true."""
_LONGEST = 60  # characters of a value, in a message

if TYPE_CHECKING:
    from dataclasses import dataclass as checked  # what type checkers know `replace`, `fields` and `asdict` of
else:

    def checked(**options: Any) -> Callable[[type], type]:
        """As `dataclasses.dataclass`, with fields that pydantic checks; a wrong or unknown one raises UsageError."""

        def make(plain: type) -> type:
            kind = pydantic_dataclass(plain, config=STRICT | ConfigDict(extra="forbid"), **options)
            build = kind.__init__

            @wraps(build)
            def init(self: Any, *values: Any, **fields: Any) -> None:
                try:
                    build(self, *values, **fields)
                except ValidationError as error:
                    raise UsageError(fault(error, kind)) from None

            kind.__init__ = init
            return kind

        return make


@contextmanager
def within(place: object, error: type[PayAttentionError] = UsageError) -> Iterator[None]:
    """Says of a UsageError where it is, and raises it as another error, if one is given."""
    try:
        yield
    except UsageError as found:
        raise error(f"{place}: {found}") from None


def takes(words: str) -> WrapValidator:
    """Of a list or a choice of kinds: whatever is wrong within, the message shows the whole, and says what it takes."""

    def check(value: Any, inner: Callable[[Any], Any]) -> Any:
        try:
            return inner(value)
        except ValidationError:
            raise ValueError(f"it takes {words}") from None

    return WrapValidator(check)


_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a table of options",
}
"""What is needed, by pydantic's name for the fault."""
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def fault(error: ValidationError, kind: type) -> str:
    """The first thing that is wrong with what was to be a `kind`, in one line: what it is, and what is needed."""
    first: Any = error.errors(include_url=False)[0]
    fields: dict[str, FieldInfo] = kind.__pydantic_fields__  # type: ignore[attr-defined]
    place = [*first["loc"]]
    if place and isinstance(place[0], int):  # given by its position
        place[0] = [*fields, "one too many"][min(place[0], len(fields))]
    name, value, wrong = ".".join(map(str, place)), short(first["input"]), first["msg"].removeprefix("Value error, ")
    match first["type"]:
        case "missing":
            return f"{name} is missing"
        case "unexpected_positional_argument":
            return f"{value} is one too many: there are {', '.join(fields)}"
        case "unexpected_keyword_argument":
            return str(unknown(f"{_in_words(kind)} field", name, fields))
        case "literal_error" if isinstance(first["input"], str):
            choices = re.findall("'([^']*)'", first["ctx"]["expected"])
            return str(unknown(name, first["input"][:_LONGEST], choices))
        case "value_error" if not name:  # of several fields together
            return wrong
        case "value_error":
            return f"{name} is {value}: {wrong}"
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            bounds = _bounds(fields[place[0]]) if len(place) == 1 else {}
            return f"{name} is {value}: it {_range(bounds or first['ctx'])}"
    needed = _KINDS.get(first["type"]) or wrong.removeprefix("Input should be ")
    return f"{name} is {value}: {needed} is needed"


def short(value: object) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _bounds(field: FieldInfo) -> dict[str, float]:
    return {side: getattr(bound, side) for bound in field.metadata for side in _BOUNDS if hasattr(bound, side)}


def _range(bounds: dict[str, float]) -> str:
    shown = {side: f"{bound:,}" if isinstance(bound, int) else f"{bound:g}" for side, bound in bounds.items()}
    if shown.keys() == {"ge", "le"}:
        return f"lies between {shown['ge']} and {shown['le']}"
    return "is " + " and ".join(f"{_BOUNDS[side]} {bound}" for side, bound in shown.items())


def _in_words(kind: type) -> str:
    """RunConfig is a "run config", in a message."""
    return re.sub("(?<=[a-z])(?=[A-Z])", " ", kind.__name__).lower()
