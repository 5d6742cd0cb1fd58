"""One line of ours for each kind of fault that pydantic finds."""

from dataclasses import asdict, field, fields, replace
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from payattention.errors import DataError, UsageError
from payattention.system.validation import checked, takes, within


@checked(frozen=True)
class BlueBox:
    title: str
    count: Annotated[int, Field(ge=1, le=10_000)] = 3
    share: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    least: Annotated[float, Field(ge=0)] = 0.0
    shape: Literal["round", "square"] | None = None
    open: bool = False
    sides: Annotated[tuple[int, ...], Field(strict=False), takes("whole numbers, as [3, 4]")] = ()
    notes: Annotated[tuple[str, ...], Field(strict=False)] = ()
    counts: dict[str, Annotated[int, Field(ge=0)]] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "title is missing"),
        ({"title": 3}, "title is 3: text is needed"),
        ({"count": True}, "count is True: a whole number is needed"),
        ({"count": "3"}, "count is '3': a whole number is needed"),
        ({"count": 2.5}, "count is 2.5: a whole number is needed"),
        ({"count": 0}, "count is 0: it lies between 1 and 10,000"),
        ({"share": float("nan")}, "share is nan: a finite number is needed"),
        ({"share": 0.5}, "share is 0.5: it is above 0 and below 0.5"),
        ({"least": -1}, "least is -1: it is at least 0"),
        ({"shape": "squar"}, "unknown shape 'squar'; did you mean 'square'?"),
        ({"shape": 3}, "shape is 3: 'round' or 'square' is needed"),
        ({"open": 1}, "open is 1: true or false is needed"),
        ({"sides": [3, "4"]}, "sides is [3, '4']: it takes whole numbers, as [3, 4]"),
        ({"notes": "abc"}, "notes is 'abc': a list is needed"),
        ({"notes": ["a", 3]}, "notes.1 is 3: text is needed"),
        ({"notes": "abc" * 99}, f"notes is '{'abc' * 18}ab...: a list is needed"),
        ({"counts": 3}, "counts is 3: a table of options is needed"),
        ({"counts": {"a": 1, "b": -1}}, "counts.b is -1: it is at least 0"),
        ({"cuont": 3}, "unknown blue box field 'cuont'; did you mean 'count' or 'counts'?"),
    ],
)
def test_a_fault_is_one_line_that_says_what_is_needed(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as found:
        BlueBox(**({"title": "a"} if given else {}) | given)
    assert str(found.value) == message


def test_a_fault_says_in_what_place_it_is() -> None:
    with pytest.raises(DataError, match=r"^boxes.toml: title is 3: text is needed$"), within("boxes.toml", DataError):
        BlueBox(3)  # type: ignore[arg-type]


def test_what_is_checked_is_a_dataclass() -> None:
    """Lists become tuples, whole numbers become fractions where those are wanted; what is changed is checked again."""
    box = BlueBox("a", share=0.25, least=1, sides=[3, 4])  # type: ignore[arg-type]
    assert (box.sides, type(box.least), [own.name for own in fields(box)][:2]) == ((3, 4), float, ["title", "count"])
    assert BlueBox(**asdict(box)) == box
    with pytest.raises(UsageError, match="count is 0"):
        replace(box, count=0)
