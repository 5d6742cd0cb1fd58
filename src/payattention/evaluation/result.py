"""What every measurement gives: numbers, what they were measured on, and where they come from."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from payattention.system.provenance import Provenance
from payattention.system.reporting import Table

_OF_PICTURES = "of pictures"


def of_pictures() -> Any:
    """A field of a result that holds a record for each picture, in order: there may be many, and JSON is without it."""
    return field(default=(), repr=False, metadata={_OF_PICTURES: True})


_LISTED = 10  # classes


@dataclass(frozen=True, kw_only=True)
class Result(ABC):
    """Base class: a measurement on a data set; `print(result)` shows it as tables.

    Attributes:
        data: The data set's name.
        split: Its split.
        source: What a reader ought to know of where the pictures come from; "" for the set as published.
        count: How many pictures were measured.
        provenance: Where the numbers come from.
    """

    data: str
    split: str
    source: str
    count: int
    provenance: Provenance

    @abstractmethod
    def report(self) -> Iterator[Table | str]:
        """The tables and sentences that a reader is shown, in order."""

    def __str__(self) -> str:
        return "\n".join(str(part) for part in self.report())

    def as_json(self) -> dict[str, Any]:
        """All of it but the records of single pictures, as JSON has it; the provenance last."""
        values = asdict(self)
        for own in fields(self):
            if own.metadata.get(_OF_PICTURES):
                del values[own.name]
        values["provenance"] = values.pop("provenance")
        return values


@dataclass(frozen=True, kw_only=True)
class ClassResult(Result):
    """A measurement on a set whose classes were found among the model's by name.

    Attributes:
        missing: The model's classes of which the set has no picture.
        unknown: The set's classes that the model does not know, each with how many pictures it has. They were left out,
            unless all are unknown.
        all_unknown: Whether the model knows none of the set's classes; what needs no class is then measured on all.
    """

    missing: tuple[str, ...] = ()
    unknown: Mapping[str, int] = field(default_factory=dict)
    all_unknown: bool = False

    def class_notes(self) -> Iterator[str]:
        """In what the set's classes are not the model's, a line each."""
        if self.all_unknown:
            if len(self.unknown) > 1:
                yield f"the model knows none of the classes ({_listed(self.unknown)}); all pictures are measured"
            return
        if self.missing:
            yield f"no image is of the model's classes: {_listed(self.missing)}"
        if self.unknown:
            counted = [f"{name} ({count:,})" for name, count in self.unknown.items()]
            yield f"left out, since the model does not know their class: images of {_listed(counted)}"


def _listed(names: Iterable[str]) -> str:
    listed = [*names]
    more = len(listed) - _LISTED
    return ", ".join(listed[:_LISTED]) + (f" and {more:,} more" if more > 0 else "")
