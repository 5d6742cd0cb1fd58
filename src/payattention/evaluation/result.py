"""What every measurement gives: numbers, what they were measured on, and where they come from."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from payattention.system.provenance import Provenance
from payattention.system.reporting import Table

_OF_PICTURES = "of pictures"


def of_pictures() -> Any:
    """A field of a result that holds a record for each picture, in order: there may be many, and JSON is without it."""
    return field(default=(), repr=False, metadata={_OF_PICTURES: True})


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
