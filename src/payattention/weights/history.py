"""How saved weights came to be, as far as what lies beside them tells: a run's result.json, or a file's own .json."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from payattention.errors import CheckpointError
from payattention.weights.header import RESULT, WEIGHTS

_PLACE = re.compile(r"(--[\w-]+=)?([a-z]\w+:)?(/.*|~.*|[A-Za-z]:[/\\].*)", re.DOTALL)
"""A word of a command that names a place on a machine, after the option and the kind of data that it belongs to."""


@dataclass(frozen=True)
class History:
    """A training and what it reached; where on a machine anything lay is left out, which is nobody else's business.

    Attributes:
        data: The data set's name, without the folders above it.
        counts: Pictures that were trained and measured on.
        measured_on: The split that the error was measured on.
        error: Per cent.
        recipe: By field.
        seed: Of weights, order, augmentation and dropout.
        command: What was typed; None from Python.
        versions: By package.
        device: What computed.
        seconds: In all.
        date: YYYY-MM-DD.
    """

    data: str
    counts: tuple[int, int]
    measured_on: str
    error: float
    recipe: Mapping[str, Any]
    seed: int
    command: str | None
    versions: Mapping[str, str]
    device: str
    seconds: float
    date: str


def history_of(path: Path) -> History | None:
    """What lies beside a run folder's weights, or a weights file, tells of them; None where nothing does.

    Raises:
        CheckpointError: It cannot be understood, or there is no such run.
    """
    file = _beside(path)
    if file is None and not path.exists():
        raise CheckpointError(f"{path}: no such run folder or file")
    if file is None:
        return None
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        trained = told.get("trained", told)
        return _of_result(trained, _as_it_lies_there(told) or trained["test"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{file}: damaged, or of another version ({type(error).__name__}: {error})") from None


def _as_it_lies_there(told: Mapping[str, Any]) -> Any:
    """The error of a file that was rounded after its training, if it was measured."""
    return told.get("measured", {}).get("test") or told.get("in_float16")


def _beside(path: Path) -> Path | None:
    if path.is_dir():
        places = [path / RESULT]
    else:
        places = [path.with_suffix(".json"), *([path.with_name(RESULT)] if path.name == WEIGHTS else [])]
    return next((place for place in places if place.is_file()), None)


def _of_result(trained: Mapping[str, Any], measured: Mapping[str, Any]) -> History:
    data, made = trained["data"], trained["provenance"]
    return History(
        data=without_places(str(data["name"])),
        counts=(int(data["train"]), int(measured["count"])),
        measured_on=str(data.get("measured_on", "test")),
        error=float(measured["error"]),
        recipe=dict(trained["recipe"]),
        seed=int(trained["seed"]),
        command=None if made["command"] is None else shlex.join(map(without_places, shlex.split(made["command"]))),
        versions=dict(made["versions"]),
        device=str(made["device"]),
        seconds=float(made["seconds"]),
        date=str(made["date"]),
    )


def without_places(word: str) -> str:
    """A word of a command, or a data set's name, with only the last part of the place that it names, if any."""
    found = _PLACE.fullmatch(word)
    if found is None:
        return word
    option, kind, place = found.groups(default="")
    path = PureWindowsPath(place) if "\\" in place else PurePosixPath(place)
    return f"{option}{kind}{path.name}"
