"""The results folder: results of the cells, other trainings that fit a cell, and why other cells have no result.

A cell's result lies in `cells/` under its job's name: `settings` (what was asked for), the `command`, the `seconds`
that it ran in so many `slices`, and `result` (what it printed). A broken file is named and left alone; the others are
read. The runner notes why other cells have no result: the machine that writes the report plays no part.
"""

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from payattention.data import CATALOGUE
from payattention.errors import DataError
from payattention.system.files import write_json
from payattention.training.presets import default_recipe

CELLS = "cells"
NOT_RUN = "not_run.json"
"""Why other cells have no result."""


@dataclass(frozen=True, eq=False)
class Result:
    """One result.

    Attributes:
        file: Its path below the results folder.
        settings: What was asked for, as `Job.settings` gives it; `recipe` is None where it is not known.
        content: What the command printed.
    """

    file: str
    settings: Mapping[str, Any]
    content: Mapping[str, Any]


def read_results(folder: Path) -> tuple[list[Result], list[str]]:
    """The results in a folder in the order of their paths, and a line for each file that cannot be read."""
    found: list[Result] = []
    problems: list[str] = []
    others = (file for file in sorted(folder.glob("*.json")) if file.name != NOT_RUN)
    for file in (*sorted((folder / CELLS).glob("*.json")), *others):
        try:
            result = read_cell(file) if file.parent.name == CELLS else _adopted(file)
        except DataError as error:
            problems.append(str(error))
            continue
        found += [result] if result else []
    return found, problems


def read_cell(file: Path) -> Result:
    """A cell's result.

    Raises:
        DataError: Not a result.
    """
    content = _json(file)
    match content:
        case {"settings": {"verb": str(), "name": str(), "seed": int(), **_others}, "result": dict()}:
            if _is_whole(content["settings"], content["result"]):
                return Result(f"{CELLS}/{file.name}", content["settings"], content["result"])
    raise DataError(
        f"{file}: no cell's result (its settings or its result are not whole); remove it, and the cell is run again"
    )


def number(content: Mapping[str, Any], path: Iterable[Any]) -> float | None:
    """The number at a path of keys; a table among them chooses the item of a list that has its values."""
    place: Any = content
    for step in path:
        if isinstance(step, Mapping) and isinstance(place, list):
            place = next((item for item in place if isinstance(item, dict) and step.items() <= item.items()), None)
        elif isinstance(place, dict):
            place = place.get(step)
        else:
            return None
    return float(place) if isinstance(place, int | float) and not isinstance(place, bool) else None


def write_stock(folder: Path, machine: str, reasons: Mapping[str, str]) -> None:
    """Notes the cells that have no result, each with the reason, as a machine sees them."""
    write_json(folder / NOT_RUN, {"machine": machine, "cells": dict(sorted(reasons.items()))})


def read_stock(folder: Path) -> Mapping[str, str]:
    """The reasons by cell; none where nothing was noted.

    Raises:
        DataError: A broken file.
    """
    file = folder / NOT_RUN
    if not file.is_file():
        return {}
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
        return {str(cell): str(reason) for cell, reason in content["cells"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise DataError(f"{file}: broken; `payattention reproduce --minutes 0` writes it anew") from None


def _is_whole(settings: Mapping[str, Any], result: Mapping[str, Any]) -> bool:
    """Whether a result holds what is compared with the cells' settings: of a training, or of the one it measures."""
    trained, made = (settings, result) if settings["verb"] == "train" else (settings.get("of"), {})
    match trained, made.get("data", {}), made.get("recipe", {}):
        case {"width": int() | float(), "epochs": int(), "recipe": str(), "recipe_set": dict()}, dict(), dict():
            return True
    return False


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise DataError(
            f"{file}: not JSON ({error.msg}, {where}); repair it, or remove it to have it run again"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error})") from None


def _adopted(file: Path) -> Result | None:
    """A training's result that some other command left here; None for a file that is something else."""
    content = _json(file)
    match content:
        case {
            "model": {"name": str(), "width": _, "options": dict()},
            "data": {"name": str(), "train": int()},
            "recipe": {"epochs": int()},
            "seed": int(),
            "test": {"error": _},
        } if content["data"].get("measured_on", "test") == "test":
            return Result(file.name, _as_asked(content), content)
    return None


def _as_asked(content: dict[str, Any]) -> dict[str, Any]:
    """The settings that a training's result tells."""
    model, recipe = content["model"], content["recipe"]
    given = {"dropout": recipe.get("dropout"), **(recipe.get("model") or {})}  # by the recipe, not by the user
    return {
        "verb": "train",
        "model": model["name"],
        "options": {key: value for key, value in model["options"].items() if given.get(key) != value},
        "data": _named(content["data"]["name"]),
        **_recipe(content),
        "width": model["width"],
        "epochs": recipe["epochs"],
        "seed": content["seed"],
    }


def _named(data: str) -> str:
    """The named set that a copy is of, by its folder's name: "parquet:copies/cifar10" is cifar10."""
    folder = Path(data.partition(":")[2]).name
    return folder if folder in CATALOGUE else data


def _recipe(content: dict[str, Any]) -> dict[str, Any]:
    """The name of a training's recipe and the fields that were replaced, as its command has them."""
    words = shlex.split((content.get("provenance") or {}).get("command") or "")
    if words[:2] != ["payattention", "train"]:
        return {"recipe": None, "recipe_set": {}}
    words = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
    given = [(option, value) for option, value in pairwise(words) if option in ("--recipe", "--recipe-set")]
    replaced = dict(value.partition("=")[::2] for option, value in given if option == "--recipe-set")
    return {"recipe": dict(given).get("--recipe", default_recipe(content["model"]["name"])), "recipe_set": replaced}
