"""Predictions as other programs read them: CSV, or a JSON object a line."""

import csv
import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from payattention.errors import UsageError
from payattention.system.names import Registry
from payattention.system.text import readable

if TYPE_CHECKING:
    from payattention.models.prediction import Prediction

UNSURE = "unsure"
"""In place of a class whose probability is too small."""
_DIGITS = 6


@runtime_checkable
class Sink(Protocol):
    """An open text file, or what can be written to like one."""

    def write(self, text: str, /) -> object: ...


Writer = Callable[["Iterable[Prediction]"], None]
"""Writes some more predictions."""


def label_of(prediction: "Prediction", unsure: float = 0.0) -> str:
    """The predicted class, or "unsure" where its probability lies below a threshold."""
    return UNSURE if prediction.probability < unsure else prediction.label


def record(prediction: "Prediction", unsure: float = 0.0) -> dict[str, Any]:
    """A prediction as JSON has it; the true class only where it is known."""
    true = {} if prediction.true is None else {"true": prediction.true}
    top = [{"class": name, "probability": round(p, _DIGITS)} for name, p in prediction.top.items()]
    return {"picture": prediction.picture, **true, "label": label_of(prediction, unsure), "top": top}


def csv_writer(file: Sink, top: int, unsure: float = 0.0, *, true: bool = False) -> Writer:
    """Writes a header line before the first predictions: picture, label, class_1, probability_1, ..."""
    lines = csv.writer(file, lineterminator="\n")
    classes = [f"{what}_{place}" for place in range(1, top + 1) for what in ("class", "probability")]
    heading = ["picture", *(["true"] if true else []), "label", *classes]

    def write(predictions: "Iterable[Prediction]") -> None:
        if heading:
            lines.writerow(heading)
            heading.clear()
        for one in predictions:
            said = [text for name, p in one.top.items() for text in (readable(name), f"{p:.{_DIGITS}f}")]
            lines.writerow([one.picture, *([one.true] if true else []), label_of(one, unsure), *said])

    return write


def json_lines_writer(file: Sink, top: int, unsure: float = 0.0) -> Writer:
    """Writes an object a line: picture, label, top."""

    def write(predictions: "Iterable[Prediction]") -> None:
        for one in predictions:
            file.write(readable(json.dumps(record(one, unsure), ensure_ascii=False)) + "\n")

    return write


FORMATS: Registry[Callable[[Sink, int, float], Writer]] = Registry(
    "format", {"csv": csv_writer, "jsonl": json_lines_writer}
)


def check_unsure(unsure: float, classes: Iterable[str]) -> None:
    """Raises UsageError for a threshold that is no probability, or a class that is itself called "unsure"."""
    if not 0 <= unsure <= 1:
        raise UsageError(f"--unsure {unsure:g}: a probability lies between 0 and 1")
    if unsure and UNSURE in classes:
        raise UsageError(f"--unsure: the model has a class called {UNSURE!r}, which could not be told from the others")
